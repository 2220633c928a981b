import { fail } from '../errors.ts'
import { isUuid } from '../lib/ids.ts'

export interface Page<T> {
  data: T[]
  nextCursor: string | null
}

const UUID_BYTES = 16

/** Makes a page of `limit` rows from `limit + 1` rows, sorted by id. The cursor is the last id in base64url. */
export function pageOf<T extends { id: string }>(rows: readonly T[], limit: number): Page<T> {
  const data = rows.slice(0, limit)
  const last = data.at(-1)
  return { data, nextCursor: last && rows.length > limit ? cursorOf(last.id) : null }
}

/**
 * The id in a cursor.
 *
 * @throws PublicError INVALID_CURSOR for a cursor that `pageOf` did not make
 */
export function idFromCursor(cursor: string): string {
  const hex = Buffer.from(cursor, 'base64url').toString('hex')
  const id = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join(
    '-',
  )
  // Decoding never fails, and several texts decode to one id. Accept only the text that `cursorOf` makes.
  if (hex.length !== UUID_BYTES * 2 || !isUuid(id) || cursorOf(id) !== cursor) throw fail('INVALID_CURSOR')
  return id
}

function cursorOf(id: string): string {
  return Buffer.from(id.replaceAll('-', ''), 'hex').toString('base64url')
}
