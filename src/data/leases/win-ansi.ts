/** What the fonts that every PDF reader has can show beyond Latin-1 (Windows-1252, 0x80 to 0x9f). */
const BEYOND_LATIN_1 = '€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ'

/** Letters that do not come apart into a plain one and a mark. */
const PLAIN: Readonly<Record<string, string>> = { Ł: 'L', ł: 'l', Đ: 'D', đ: 'd', ı: 'i', Ħ: 'H', ħ: 'h' }

/**
 * The text as these fonts can show it: a letter with an unknown mark loses the mark (`ő` → `o`), a character of another
 * script becomes `?`, and what is no character (controls, line breaks, directions) a space.
 */
export function printable(text: string): string {
  return Array.from(text.normalize('NFC'), printableCharacter).join('')
}

function printableCharacter(character: string): string {
  if (isKnown(character)) return character
  if (/[\p{C}\p{Z}]/u.test(character)) return ' '
  const plain = PLAIN[character] ?? character.normalize('NFKD').replace(/\p{M}/gu, '')
  return plain !== '' && Array.from(plain).every(isKnown) ? plain : '?'
}

function isKnown(character: string): boolean {
  return /^[ -~\u00a1-\u00ac\u00ae-\u00ff]$/.test(character) || BEYOND_LATIN_1.includes(character)
}
