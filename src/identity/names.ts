const CONTROL = /\p{Cc}/u

export const NAME_RULE = 'must have 1 to 200 characters, and no control characters'

/** Whether a text can name a person, a role or a key for people. */
export function isName(text: string): boolean {
  return text.trim() !== '' && text.length <= 200 && !CONTROL.test(text)
}
