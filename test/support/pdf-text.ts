import { inflateSync } from 'node:zlib'

/** The texts that pdfkit draws in a PDF, one for each operator, as a reader would copy them. */
export function textsOf(pdf: Buffer): string[] {
  const objects = objectsOf(pdf)
  const fonts = new Map<string, ReadonlyMap<string, string>>()
  for (const { head } of objects.values()) {
    for (const [, name = '', id = ''] of head.matchAll(/\/(F\d+) (\d+) 0 R/g)) {
      const map = /\/ToUnicode (\d+) 0 R/.exec(objects.get(id)?.head ?? '')?.[1]
      if (map !== undefined) fonts.set(name, charactersOf(objects.get(map)?.stream ?? ''))
    }
  }
  return [...objects.values()].flatMap(({ stream }) => drawn(stream, fonts))
}

function objectsOf(pdf: Buffer): Map<string, { head: string; stream: string }> {
  const objects = new Map<string, { head: string; stream: string }>()
  // One byte is one character here.
  for (const [, id = '', body = ''] of pdf.toString('latin1').matchAll(/(\d+) 0 obj\n([\s\S]*?)\nendobj/g)) {
    const [head = '', content] = body.split('stream\n')
    const bytes = Buffer.from(content?.slice(0, content.lastIndexOf('\nendstream')) ?? '', 'latin1')
    const isText = head.includes('FlateDecode') && !head.includes('CIDFontType')
    objects.set(id, { head, stream: isText ? inflateSync(bytes).toString('latin1') : '' })
  }
  return objects
}

/** Glyphs of a font (four hex digits) and the characters that they stand for. */
function charactersOf(map: string): Map<string, string> {
  const characters = new Map<string, string>()
  for (const [, first = '', list = ''] of map.matchAll(/<([0-9a-f]{4})> <[0-9a-f]{4}> \[([^\]]*)\]/g)) {
    for (const [at, [, units = '']] of [...list.matchAll(/<([0-9a-f ]*)>/g)].entries()) {
      const glyph = (Number.parseInt(first, 16) + at).toString(16).padStart(4, '0')
      const text = Buffer.from(units.replaceAll(' ', ''), 'hex').swap16().toString('utf16le')
      characters.set(glyph, text)
    }
  }
  return characters
}

function drawn(stream: string, fonts: ReadonlyMap<string, ReadonlyMap<string, string>>): string[] {
  const texts: string[] = []
  let font: ReadonlyMap<string, string> | undefined
  for (const [, name, pieces = ''] of stream.matchAll(/\/(F\d+) [\d.]+ Tf|\[([^\]]*)\] TJ/g)) {
    if (name !== undefined) font = fonts.get(name)
    else if (font !== undefined) texts.push(textOf(pieces, font))
  }
  return texts
}

function textOf(pieces: string, font: ReadonlyMap<string, string>): string {
  const glyphs = [...pieces.matchAll(/<([0-9a-f]+)>/g)].flatMap(([, hex = '']) => hex.match(/.{4}/g) ?? [])
  return glyphs.map((glyph) => font.get(glyph) ?? '\ufffd').join('')
}
