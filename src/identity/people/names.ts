const CONTROL = /\p{Cc}/u

export const NAME_RULE = 'must have 1 to 200 characters, and no control characters'

/** Whether a text can name a person, a role or a key for people. */
export function isName(text: string): boolean {
  return text.trim() !== '' && text.length <= 200 && !CONTROL.test(text)
}

/** One spelling of a tenant's code as people type it. Letters beyond ASCII are in no code, and must not become ASCII letters. */
export function typedCode(text: string): string {
  return text.trim().replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

/**
 * One spelling of an email address or user name as people type it: composed (NFC), and in lower case by the same rules in every
 * country. Users are stored, found and counted by it.
 */
export function typedName(text: string): string {
  return composed(text.trim()).toLowerCase().normalize('NFC')
}

/** The composed form (NFC) of a text, for comparison: devices compose letters differently. */
export function composed(text: string): string {
  return text.normalize('NFC')
}

/** The spellings in which a name may be stored: those from before names were composed are as they were typed. */
export function storedSpellings(text: string): readonly string[] {
  const name = typedName(text)
  return [...new Set([text.trim().toLowerCase(), name, name.normalize('NFD')])]
}

const EMAIL = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,255}$/u

export const EMAIL_RULE = 'must be an email address'

/** Whether a text can be an email address. Only the mail itself would tell whether it is one. */
export function isEmail(text: string): boolean {
  return text.length <= 254 && EMAIL.test(text)
}
