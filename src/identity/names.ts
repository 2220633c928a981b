const CONTROL = /\p{Cc}/u

export const NAME_RULE = 'must have 1 to 200 characters, and no control characters'

/** Whether a text can name a person, a role or a key for people. */
export function isName(text: string): boolean {
  return text.trim() !== '' && text.length <= 200 && !CONTROL.test(text)
}

const EMAIL = /^[^\s@\p{Cc}]{1,64}@[^\s@\p{Cc}]{1,255}$/u

export const EMAIL_RULE = 'must be an email address'

/** Whether a text can be an email address. Only the mail itself would tell whether it is one. */
export function isEmail(text: string): boolean {
  return text.length <= 254 && EMAIL.test(text)
}
