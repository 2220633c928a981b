const CONTROL = /\p{Cc}/u

export const NAME_RULE = 'must have 1 to 200 characters, and no control characters'

/** True if a text can be the name of a person, a role or a key. */
export function isName(text: string): boolean {
  return text.trim() !== '' && text.length <= 200 && !CONTROL.test(text)
}

/** The one spelling of a typed tenant code. No code has letters beyond ASCII, and such letters must not become ASCII letters. */
export function typedCode(text: string): string {
  return text.trim().replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/**
 * The one spelling of a typed email address or user name: composed (NFC), and in lower case by the same rules in every country.
 * Users are stored and found by it, and login attempts are counted by it.
 */
export function typedName(text: string): string {
  return composed(text.trim()).toLowerCase().normalize('NFC')
}

/** The composed form (NFC) of a text, for comparison: devices encode the same letter differently. */
export function composed(text: string): string {
  return text.normalize('NFC')
}

/** The spellings in which a name may be stored. Old names are not composed, but stored as they were typed. */
export function storedSpellings(text: string): readonly string[] {
  const name = typedName(text)
  return [...new Set([text.trim().toLowerCase(), name, name.normalize('NFD')])]
}

const EMAIL = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,255}$/u

export const EMAIL_RULE = 'must be an email address'

/** True if a text has the form of an email address. Only sending a mail would prove that it is one. */
export function isEmail(text: string): boolean {
  return text.length <= 254 && EMAIL.test(text)
}
