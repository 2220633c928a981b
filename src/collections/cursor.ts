import { timingSafeEqual } from 'node:crypto'
import { fail } from '../errors.ts'
import { isCanonicalBase64Url } from '../lib/base64url.ts'

const MAC_BYTES = 16

/** The longest cursor that is read, in characters. */
export const MAX_CURSOR_LENGTH = 4096

/** The list that a cursor belongs to. It is valid in no other list. */
export interface CursorScope {
  readonly tenantId: string
  readonly resource: string
  readonly sort: string
  /** Filters in the order of their declaration. */
  readonly filters: readonly (readonly [name: string, value: unknown])[]
}

/** The last row of a page: its sort value and its id. */
export interface CursorPosition {
  readonly value: string | number
  readonly id: string
}

/**
 * Cursors are `base64url(mac | JSON [value, id])`. The scope is signed with the position, but not sent. So a cursor
 * cannot be forged, nor used for another tenant, collection, order or filter.
 */
export class CursorCodec {
  readonly #authenticate: (message: Buffer) => Buffer

  /** `authenticate`: a MAC of at least 16 bytes. All replicas must have its key, also after a restart. */
  constructor(authenticate: (message: Buffer) => Buffer) {
    this.#authenticate = authenticate
  }

  /** Makes the cursor of the page that begins after `position`. */
  encode(scope: CursorScope, { value, id }: CursorPosition): string {
    const body = Buffer.from(JSON.stringify([value, id]))
    return Buffer.concat([this.#mac(scope, body), body]).toString('base64url')
  }

  /** Reads a cursor that `encode` made for the same list; throws `INVALID_CURSOR` for anything else. */
  decode(scope: CursorScope, cursor: string): CursorPosition {
    if (cursor.length > MAX_CURSOR_LENGTH) throw fail('INVALID_CURSOR')
    if (!isCanonicalBase64Url(cursor)) throw fail('INVALID_CURSOR')
    const bytes = Buffer.from(cursor, 'base64url')
    if (bytes.length <= MAC_BYTES) throw fail('INVALID_CURSOR')
    const body = bytes.subarray(MAC_BYTES)
    if (!timingSafeEqual(bytes.subarray(0, MAC_BYTES), this.#mac(scope, body))) throw fail('INVALID_CURSOR')
    const [value, id] = JSON.parse(body.toString()) as [string | number, string]
    return { value, id }
  }

  #mac({ tenantId, resource, sort, filters }: CursorScope, body: Buffer): Buffer {
    // JSON.stringify writes no line break, so the line break separates the two parts without doubt.
    const head = Buffer.from(`${JSON.stringify([tenantId, resource, sort, filters])}\n`)
    return this.#authenticate(Buffer.concat([head, body])).subarray(0, MAC_BYTES)
  }
}
