import { isUuid } from '../../lib/ids.ts'

/**
 * The owner of a dedicated database controls its rows, so a row may hold values that our tables could not. Values that go into
 * tokens, the audit log or the catalog are checked here.
 */
const MAX_NAME_LENGTH = 200
const MAX_TEXT_LENGTH = 254

/** True if the value is an id, whatever type its column has. */
export function isId(value: unknown): value is string {
  return typeof value === 'string' && isUuid(value)
}

/** True if the value could be a generation in our column. */
export function isGeneration(value: unknown): value is number {
  return Number.isSafeInteger(value) && Number(value) >= 0
}

/** Keeps only texts that can be names of roles or permissions. */
export function namesOf(value: unknown): string[] {
  if (!Array.isArray(value)) return []
  return value.filter((name) => typeof name === 'string' && name.length <= MAX_NAME_LENGTH)
}

/** Cuts a text for the audit log to the length that our tables allow. Other values stay. */
export function cut<T>(value: T): T | string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT_LENGTH) : value
}
