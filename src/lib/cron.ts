import { validate } from 'node-cron'

/** True if a text is a schedule in node-cron's form: five fields, or six with the seconds first. */
export function isCron(text: unknown): text is string {
  return typeof text === 'string' && [5, 6].includes(text.trim().split(/\s+/).length) && validate(text)
}
