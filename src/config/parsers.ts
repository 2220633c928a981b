import ipaddr from 'ipaddr.js'
import { validate as isCronExpression } from 'node-cron'
import { type MasterKey, parseMasterKey } from '../crypto/key-source.ts'
import { type ConnectionTarget, needsTls, parseConnectionString } from '../lib/postgres/connection-string.ts'
import { Secret } from '../lib/secret.ts'
import { SettingRefused } from './environment.ts'

/** Freehold sets its own time limit for the catalog and the shared database, and TLS to them must not depend on a default. */
export function parseOwnDatabase(text: string): ConnectionTarget {
  const target = parseConnectionString(text)
  if (target.connectTimeoutSeconds !== null)
    throw new SettingRefused('must not have a connect_timeout, which is only for tenant databases')
  if (target.sslMode === null && needsTls(target.handshake))
    throw new SettingRefused('must have an sslmode with channel_binding=require or sslnegotiation=direct')
  return target
}

export function parseRetiredKeys(text: string): MasterKey[] {
  return text.split(',').map((key) => parseMasterKey(key.trim()))
}

/** Clients send the token in an Authorization header, which limits its characters. */
export function parseOperatorToken(text: string): Secret {
  if (text.length < 32) throw new SettingRefused('must have at least 32 characters')
  if (text.length > 512) throw new SettingRefused('must have at most 512 characters')
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(text))
    throw new SettingRefused('may have only letters, digits and - . _ ~ + / =')
  return new Secret(text)
}

/** A network of length 0 would trust every address. Then each caller could choose the address for its rate limit. */
export function parseTrustedProxies(text: string): string[] {
  return text.split(',').map((part) => {
    const network = part.trim()
    const isWhole = isAddress(network) || ipaddr.isValidCIDR(network)
    if (!isWhole || /\/0+$/.test(network))
      throw new SettingRefused('must list addresses and CIDRs, without a CIDR of length 0')
    return network
  })
}

function isAddress(text: string): boolean {
  return ipaddr.isValid(text) && (text.includes(':') || /^\d+(?:\.\d+){3}$/.test(text))
}

export function parseHost(text: string): string {
  if (!/^[A-Za-z0-9.:_-]{1,255}$/.test(text))
    throw new SettingRefused('must be a host name or an address without brackets')
  return text
}

const RESERVED_HEADERS: ReadonlySet<string> = new Set(
  `authorization proxy-authorization cookie x-client-key x-tenant-code x-request-id host
   connection keep-alive upgrade te trailer transfer-encoding expect origin referer
   content-length content-type content-encoding accept accept-encoding accept-language
   if-match if-none-match if-modified-since if-unmodified-since range idempotency-key
   user-agent forwarded x-forwarded-for x-forwarded-host x-forwarded-proto date via`.split(/\s+/),
)

export function parseActForHeader(text: string): string {
  const name = text.toLowerCase()
  // RFC 9110, section 5.6.2: a field name is a token.
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name))
    throw new SettingRefused('must be a header name of at most 64 characters')
  if (RESERVED_HEADERS.has(name)) throw new SettingRefused('names a header that has another meaning')
  return name
}

/** An origin must be written as a browser writes it in `Origin`. In any other form it would never match. */
export function parseOrigins(text: string): string[] {
  return text.split(',').map((part) => {
    const origin = part.trim()
    if (!/^https?:/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new SettingRefused('must list origins: scheme, host and port, without a path; no wildcard')
    return origin
  })
}

export function parseCron(text: string): string {
  if (!isCronExpression(text)) throw new SettingRefused('must be a cron expression of five or six fields')
  return text
}
