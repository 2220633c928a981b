import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Font } from 'fontkit'

/** A font that is embedded in a document. Only the glyphs in use are embedded. */
export type DocumentFont = Pick<Font, 'hasGlyphForCodePoint' | 'glyphForCodePoint' | 'unitsPerEm'>

export interface DocumentFonts {
  readonly regular: DocumentFont
  readonly bold: DocumentFont
}

/** A text has a character for which the font has no glyph. */
export class UndrawableError extends Error {
  override readonly name = 'UndrawableError'
  /** The character and its number, `“漢” (U+6F22)`; only the number if the character cannot be shown. */
  readonly character: string

  constructor(character: string) {
    super('the font has no glyph for a character')
    const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
    this.character = /\p{C}/u.test(character) ? `U+${number}` : `“${character}” (U+${number})`
  }
}

/**
 * Scripts that can be drawn letter by letter, in the order of the text. The fonts have Devanagari too, but its letters must be
 * joined and reordered, so letter by letter the result would be wrong.
 */
const DRAWN = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Common}\p{Script=Inherited}]/u

let opened: Promise<DocumentFonts> | null = null

/** Reads the fonts once, for the first document. */
export function openFonts(): Promise<DocumentFonts> {
  opened ??= readFonts().catch((error: unknown) => {
    opened = null
    throw error
  })
  return opened
}

/** Latin with Vietnamese, Greek with polytonic, and Cyrillic; 0.63 MB each. */
async function readFonts(): Promise<DocumentFonts> {
  const { create } = await import('fontkit')
  const read = async (url: string) => create(await readFile(fileURLToPath(url))) as Font
  return {
    regular: await read(
      import.meta.resolve('@expo-google-fonts/noto-sans/400Regular/NotoSans_400Regular.ttf'),
    ),
    bold: await read(import.meta.resolve('@expo-google-fonts/noto-sans/700Bold/NotoSans_700Bold.ttf')),
  }
}

/**
 * Empties the glyph caches of the fonts. fontkit stores with each glyph the character that first used it, or none if the glyph was
 * first used as a part of another. The next document would repeat that character, so its bytes would depend on earlier documents.
 * Call it before a document is drawn, and draw the document without an await.
 */
export function forgetGlyphs(fonts: DocumentFonts): void {
  for (const font of Object.values(fonts)) Object.assign(font, { _glyphs: {} })
}

/**
 * The text as it is drawn. It is composed (NFC), so that a letter with a mark is one glyph if the font has that glyph. Control
 * characters, line breaks and direction marks become spaces.
 * @throws UndrawableError for a character without a glyph, which would be drawn as an empty box
 */
export function drawable(text: string, font: DocumentFont): string {
  const shown = text.normalize('NFC').replace(/[\p{Cc}\p{Cf}\p{Z}]/gu, ' ')
  for (const character of shown) {
    const hasGlyph = font.hasGlyphForCodePoint(character.codePointAt(0) ?? 0)
    if (!(hasGlyph && DRAWN.test(character))) throw new UndrawableError(character)
  }
  return shown
}

/**
 * Breaks words that are wider than a column. pdfkit would lay out such a word again for each of its letters, which takes time that
 * grows with the square of its length.
 */
export function breakLongWords(
  text: string,
  font: DocumentFont,
  { width, size }: { width: number; size: number },
): string {
  const limit = (width / size) * font.unitsPerEm
  let used = 0
  let broken = ''
  for (const character of text) {
    const advance = font.glyphForCodePoint(character.codePointAt(0) ?? 0).advanceWidth
    used = character === ' ' ? 0 : used + advance
    if (used > limit) {
      broken += '\n'
      used = advance
    }
    broken += character
  }
  return broken
}
