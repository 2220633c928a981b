import { randomUUID } from 'node:crypto'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { fail } from '../../errors.ts'

const REQUEST_ID = /^[A-Za-z0-9._:-]{1,128}$/
const SECURITY_HEADERS = ['authorization', 'x-client-key', 'x-tenant-code']

/**
 * Security headers of an API whose answers are never framed, sniffed, embedded or stored. They are constants, because the helmet
 * plugin builds its headers for each request, which costs more than all gates and metrics together.
 */
export const STANDING_HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  // Browsers obey this header over TLS only. Usually a proxy in front of the gateway ends TLS.
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/** The caller's `X-Request-Id` if it is safe in a log and a header, else a new one. */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/**
 * Refuses a request that has a header about access twice. Node keeps the first `Authorization` and joins the other headers
 * with commas. A proxy before us may have read another one, so the raw list is checked.
 *
 * @throws PublicError VALIDATION_FAILED
 */
export function assertNotRepeated(rawHeaders: readonly string[], actForHeader: string): void {
  let seen = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const bit = bitOf(rawHeaders[i] ?? '', actForHeader)
    if ((seen & bit) !== 0) throw fail('VALIDATION_FAILED', { detail: 'A header about access is repeated.' })
    seen |= bit
  }
}

/** One bit for each security header, 0 for all others. Most names differ in length, which saves lower-casing them. */
function bitOf(name: string, actForHeader: string): number {
  const { length } = name
  if (length !== 13 && length !== 12 && length !== actForHeader.length) return 0
  const lower = name.toLowerCase()
  if (lower === actForHeader) return 8
  const at = SECURITY_HEADERS.indexOf(lower)
  return at < 0 ? 0 : 1 << at
}

/** A caller's credential. A bearer is the token of a tenant's caller or of an operator. */
export interface Credential {
  readonly kind: 'bearer' | 'client-key'
  readonly text: string
}

/**
 * The one credential of a request.
 *
 * @throws PublicError UNAUTHENTICATED if there is none, more than one, or one of an unknown scheme
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

/** RFC 9112, section 3.2 asks for exactly one Host. Node keeps the first of several, and a proxy may have read another one. */
export function faultOfHost({ rawHeaders, httpVersion }: IncomingMessage): string | null {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? ''
    if (name.length === 4 && name.toLowerCase() === 'host') hosts += 1
  }
  if (hosts > 1) return 'The request has several Host headers.'
  return hosts === 0 && httpVersion === '1.1' ? 'The request has no Host header.' : null
}

export function faultOfUrl(url: string): string | null {
  if (!url.includes('%')) return null
  if (url.includes('%00')) return 'The URL holds U+0000.'
  // Bytes that are not UTF-8 would be decoded to another text. In the path, the router has refused them already.
  return isReadable(url) ? null : 'The query is not percent-encoded UTF-8.'
}

function isReadable(url: string): boolean {
  try {
    decodeURIComponent(url)
    return true
  } catch {
    return false
  }
}

/** The path of a URL. Logs and problems leave the query out, because it holds what a caller searches for. */
export function pathOf(url: string): string {
  const end = url.indexOf('?')
  return end < 0 ? url : url.slice(0, end)
}
