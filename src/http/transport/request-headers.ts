import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { fail } from '../../errors.ts'

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/
const SECURITY_HEADERS = ['authorization', 'x-client-key', 'x-tenant-code']

/**
 * For an API that is never framed, sniffed, embedded or stored. Constants, because the helmet plugin puts its
 * headers together anew for each request, which cost more than all gates and the measuring together.
 */
export const STANDING_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  // Heeded over TLS only, which a proxy in front ends.
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The caller's `X-Request-Id` if it can stand in a log and a header, else a new one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/** The path of a URL. Logs and problems name no query: it holds what a caller searches for. */
export function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}

/**
 * Refuses a header that decides about access and stands twice. Node keeps the first `Authorization` and joins the
 * others with a comma, and a proxy before us may have read the other one; so the raw list is looked at.
 *
 * @throws PublicError VALIDATION_FAILED
 */
export function assertNotRepeated(rawHeaders: readonly string[], actForHeader: string): void {
  let seen = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const bit = bitOf(rawHeaders[i] ?? '', actForHeader)
    if ((seen & bit) !== 0) throw fail('VALIDATION_FAILED', { detail: 'A header about access stands twice.' })
    seen |= bit
  }
}

/** One bit a security header, 0 for all others. Comparing lengths first spares nearly all the lower-casing. */
function bitOf(name: string, actForHeader: string): number {
  const { length } = name
  if (length !== 13 && length !== 12 && length !== actForHeader.length) return 0
  const lower = name.toLowerCase()
  if (lower === actForHeader) return 8
  const at = SECURITY_HEADERS.indexOf(lower)
  return at < 0 ? 0 : 1 << at
}

/** What a caller showed. A bearer is a tenant user's token or an operator's. */
export interface Credential {
  readonly kind: 'bearer' | 'client-key'
  readonly text: string
}

/**
 * The one credential of a request.
 *
 * @throws PublicError UNAUTHENTICATED when there is none, more than one, or one of a scheme that we do not speak.
 */
export function readCredential(headers: IncomingHttpHeaders): Credential {
  const { authorization } = headers
  const clientKey = headers['x-client-key']
  if (authorization !== undefined && clientKey !== undefined) {
    throw fail('UNAUTHENTICATED', { detail: 'Two credentials were given; give one.' })
  }
  if (typeof clientKey === 'string' && clientKey !== '') return { kind: 'client-key', text: clientKey }
  // RFC 9110, section 11.1: the scheme's name is not case-sensitive.
  if (authorization === undefined || !/^bearer /i.test(authorization)) throw fail('UNAUTHENTICATED')
  const text = authorization.slice(7).trim()
  if (text === '') throw fail('UNAUTHENTICATED')
  return { kind: 'bearer', text }
}
