/** Characters that move the cursor, change colours, hide text or reverse its direction. */
const HOSTILE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu
const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** A text from the gateway as it may be written to a terminal: nothing in it controls the terminal. */
export function plain(text: string): string {
  return text.replace(HOSTILE, (found) => SHORT[found] ?? `\\u{${(found.codePointAt(0) ?? 0).toString(16)}}`)
}

/** The same for a JSON document, which stays the same document. JSON.stringify itself escapes only some of them. */
export function plainJson(value: unknown): string {
  const written = JSON.stringify(value, null, 2)
  return written.replace(HOSTILE, (found) => {
    if (found === '\n') return found
    return [...Array(found.length).keys()]
      .map((at) => `\\u${found.charCodeAt(at).toString(16).padStart(4, '0')}`)
      .join('')
  })
}

const COMBINING = /\p{M}/u
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u{FF01}-\u{FF60}]/u

/** How many columns of a terminal a text takes. */
export function columnsOf(text: string): number {
  let columns = 0
  for (const character of text) columns += widthOf(character)
  return columns
}

/** The text cut to a number of columns, with `…` where something is left out. */
export function cut(text: string, columns: number): string {
  if (columnsOf(text) <= columns) return text
  let kept = ''
  let used = 1
  for (const character of text) {
    used += widthOf(character)
    if (used > columns) break
    kept += character
  }
  return `${kept}…`
}

function widthOf(character: string): number {
  if (COMBINING.test(character)) return 0
  return WIDE.test(character) ? 2 : 1
}
