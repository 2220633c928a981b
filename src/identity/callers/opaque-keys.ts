import { randomBytes } from 'node:crypto'

/**
 * Keys of the form `fhk_<lookup>_<secret>`. The lookup (12 characters) finds the row. The secret (43 characters, 256 bits)
 * proves the key. All characters are Base62, so that a double click selects the whole key.
 */
export type KeyKind = 'fhk' | 'fho'

export interface NewKey {
  /** The whole key, shown once. */
  readonly text: string
  readonly lookup: string
  /** The part of the key that is shown later. */
  readonly prefix: string
}

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const LOOKUP_LENGTH = 12
const SECRET_LENGTH = 43
const SHOWN_LOOKUP_LENGTH = 8
const FORM = new RegExp(`^(fhk|fho)_([0-9A-Za-z]{${LOOKUP_LENGTH}})_[0-9A-Za-z]{${SECRET_LENGTH}}$`)

/** A new random key. */
export function makeKey(kind: KeyKind): NewKey {
  const lookup = randomBase62(LOOKUP_LENGTH)
  return {
    text: `${kind}_${lookup}_${randomBase62(SECRET_LENGTH)}`,
    lookup,
    prefix: `${kind}_${lookup.slice(0, SHOWN_LOOKUP_LENGTH)}`,
  }
}

/** The lookup of a well-formed key of that kind, or null. So a malformed key causes no query to the catalog. */
export function keyLookup(kind: KeyKind, text: string): string | null {
  const match = FORM.exec(text)
  return match?.[1] === kind ? (match[2] ?? null) : null
}

/** Skips bytes over 247: taken modulo 62 they would make the first eight characters more likely. */
function randomBase62(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 248 && text.length < length) text += ALPHABET[byte % 62]
    }
  }
  return text
}
