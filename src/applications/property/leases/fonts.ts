import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Font } from 'fontkit'

/** A font that is embedded in a document, as a subset of the letters that are used. */
export type DocumentFont = Pick<Font, 'hasGlyphForCodePoint' | 'glyphForCodePoint' | 'unitsPerEm'>

export interface DocumentFonts {
  readonly regular: DocumentFont
  readonly bold: DocumentFont
}

/** A text has a character for which the font has no glyph. */
export class UndrawableError extends Error {
  override readonly name = 'UndrawableError'
  /** The character as people know it: `“漢” (U+6F22)`, or its number alone where it cannot be shown. */
  readonly character: string

  constructor(character: string) {
    super('the font has no glyph for a character')
    const number = (character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')
    this.character = /\p{C}/u.test(character) ? `U+${number}` : `“${character}” (U+${number})`
  }
}

/**
 * Scripts that are drawn letter by letter, in the order of the text. The fonts have Devanagari too, whose letters would have to
 * be joined and moved; drawn one by one they would be wrong.
 */
const DRAWN = /[\p{Script=Latin}\p{Script=Greek}\p{Script=Cyrillic}\p{Script=Common}\p{Script=Inherited}]/u

let opened: Promise<DocumentFonts> | null = null

export function openFonts(): Promise<DocumentFonts> {
  opened ??= readFonts().catch((error: unknown) => {
    opened = null
    throw error
  })
  return opened
}

/** Latin with Vietnamese, Greek with polytonic, and Cyrillic; 0.63 MB each. They are read once, at the first document. */
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
 * Has the fonts forget what they have drawn. fontkit keeps each glyph with the character for which it was first made, or with
 * none where it was a part of another; in the next document it would be copied as that, and its bytes would differ.
 * To be called before a document is drawn, which then happens without a break.
 */
export function forgetGlyphs(fonts: DocumentFonts): void {
  for (const font of Object.values(fonts)) Object.assign(font, { _glyphs: {} })
}

/**
 * The text as it is drawn: composed, so that letters with marks are one glyph where there is one, and with a space for what
 * is no character (controls, line breaks, directions). A character without a glyph would be drawn as an empty box.
 * @throws UndrawableError
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
 * Breaks words that are wider than a column. pdfkit would try one letter more each time and lay the whole word out again, which
 * takes time that grows with the square of its length.
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
