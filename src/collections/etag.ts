import type { SQL } from 'drizzle-orm'
import { sql } from 'drizzle-orm'
import type { ResourceTable } from './model.ts'

/** RFC 9110, section 8.8.3: an optional `W/` and visible characters in quotes. */
const ENTITY_TAG = /(W\/)?"([\x21\x23-\x7e\x80-\xff]*)"/g
const ENTITY_TAG_LIST = /^[\t ]*((W\/)?"[\x21\x23-\x7e\x80-\xff]*"[\t ]*(,[\t ]*|$))+$/
const MAX_HEADER_LENGTH = 4096

/**
 * The entity tag of a row, computed by the server so that a condition is decided inside the one statement that writes.
 * A hash of the whole row, not its `xmin`: a transaction number would show a tenant how busy other tenants are, and
 * would change when the tenant moves to another database. (sha256, because a FIPS server has no md5.)
 */
export function etagOf(table: ResourceTable): SQL<string> {
  return sql<string>`left(encode(sha256(convert_to(${table}::text, 'UTF8')), 'hex'), 32)`
}

/**
 * Reads `If-Match`: a list of tags, and the row's must be among them. Null if the row only has to exist (no header, or `*`).
 * Weak tags never match for a write (RFC 9110, 13.1.1), nor does a tag that cannot be read.
 */
export function parseIfMatch(header: string | undefined): readonly string[] | null {
  if (header === undefined || header.trim() === '*') return null
  return entityTags(header).flatMap(({ weak, tag }) => (weak ? [] : [tag]))
}

/** False if `If-None-Match` names this version; then the answer is 304. Weak tags compare by their text (13.1.2). */
export function matchesNone(header: string | undefined, etag: string): boolean {
  if (header === undefined) return true
  if (header.trim() === '*') return false
  return entityTags(header).every(({ tag }) => tag !== etag)
}

function entityTags(header: string): { weak: boolean; tag: string }[] {
  if (header.length > MAX_HEADER_LENGTH || !ENTITY_TAG_LIST.test(header)) return []
  return [...header.matchAll(ENTITY_TAG)].map(([, weak, tag = '']) => ({ weak: weak !== undefined, tag }))
}
