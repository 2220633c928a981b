import { isUuid } from '../../lib/ids.ts'

/**
 * What a dedicated database answers is its owner's word: also rows that our tables could not hold. What of it goes on into
 * tokens, the audit log and the catalog is measured here.
 */
const MAX_NAME_LENGTH = 200
const MAX_TEXT_LENGTH = 254

/** Whether it is an id, whatever its column is said to be. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && isUuid(value)
}

/** Whether it counts generations as our column does. */
export function isGeneration(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** The names of roles or permissions that can be some. */
export function namesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  return value.filter((name) => typeof name === 'string' && name.length <= MAX_NAME_LENGTH)
}

/** A value for the audit log: a text no longer than those that our tables hold. */
export function cut<T>(value: T): T | string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT_LENGTH) : value
}
