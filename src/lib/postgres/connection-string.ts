/**
 * The only reader of connection strings. The driver's own parser lets the URL override the code, falls back to
 * our environment and reads files, so it never gets a string. It gets the parts that are read here.
 */

import { Secret } from '../secret.ts'
import { endsInNumber, formatAddress, isHostName, isLoopback, parseAddress } from './addresses.ts'
import { type ConnectionParameters, needsTls, readParameters, type SslMode } from './connection-parameters.ts'
import { readPart, splitOnce } from './connection-parts.ts'
import { refuse } from './connection-refusals.ts'

export { isIpLiteral } from './addresses.ts'
export { type HandshakeOptions, needsTls, type SslMode } from './connection-parameters.ts'
export { ConnectionStringError, type ConnectionStringReason } from './connection-refusals.ts'

export interface ConnectionTarget extends ConnectionParameters {
  /** Lower-case name, dotted IPv4, or IPv6 without brackets in its one canonical spelling. */
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: Secret
}

const MAX_BYTES = 2048
/** NAMEDATALEN of a server, less the zero that ends a name. */
const MAX_NAME_BYTES = 63
const DEFAULT_PORT = 5432

/**
 * Reads `postgresql://user:password@host[:port]/database[?parameters]`, without a DNS lookup. White space around it is
 * ignored. Throws ConnectionStringError for everything else.
 */
export function parseConnectionString(given: string): ConnectionTarget {
  const text = given.trim()
  if (text.length > MAX_BYTES || Buffer.byteLength(text) > MAX_BYTES) refuse('TOO_LONG')
  const rest = afterScheme(text)
  assertPlainText(rest)
  const [location, query] = splitOnce(rest, '?')
  const [authority, path] = splitOnce(location, '/')
  const [credentials, hostAndPort] = splitOnce(authority, '@')
  if (hostAndPort === null || hostAndPort.includes('@')) refuse('CREDENTIALS_INVALID')
  const [user, password] = splitOnce(credentials, ':')
  return {
    user: readName(user, 'USER_MISSING', 'in the user'),
    password: new Secret(readPassword(password)),
    ...readHostAndPort(hostAndPort),
    database: readDatabase(path),
    ...readParameters(query),
  }
}

/** The sslmode, or its default if none was given. @throws ConnectionStringError if it contradicts other parameters */
export function effectiveSslMode(target: ConnectionTarget, fallback: SslMode): SslMode {
  const mode = target.sslMode ?? (isLoopback(target.host) ? 'disable' : fallback)
  if (mode === 'disable' && needsTls(target.handshake)) refuse('TLS_NEEDED')
  return mode
}

function afterScheme(text: string): string {
  const [scheme] = /^postgres(?:ql)?:\/\//i.exec(text) ?? []
  if (scheme !== undefined) return text.slice(scheme.length)
  if (/^["'`“”‘’]/.test(text)) refuse('QUOTED')
  if (/^jdbc:/i.test(text)) refuse('JDBC')
  if (text.includes('://') && /^(?:psql\s|export\s|[A-Za-z_][A-Za-z0-9_]{0,63}=)/.test(text))
    refuse('NOT_ALONE')
  return refuse('SCHEME_INVALID')
}

function assertPlainText(text: string): void {
  // Not the apostrophe, which may end a database's name.
  if (/["`“”’]$/.test(text)) refuse('QUOTED')
  if (!text.isWellFormed() || /[\s\p{Cc}]/u.test(text)) refuse('CHARACTER_INVALID')
  if (text.includes('#')) refuse('FRAGMENT')
}

/** Placeholders that consoles and guides print instead of the password. Only the stars are legal in a URL. */
const PLACEHOLDER = /^(?:\[.*\]|<.*>|\$?\{.*\}|[*•]{4,})$/

function readPassword(raw: string | null): string {
  if (raw !== null && PLACEHOLDER.test(raw)) refuse('PASSWORD_PLACEHOLDER')
  return readPart(raw, 'PASSWORD_MISSING', 'in the password')
}

function readDatabase(path: string | null): string {
  if (path?.includes('@')) refuse('CREDENTIALS_INVALID')
  if (path?.includes('/')) refuse('PATH_INVALID')
  return readName(path, 'DATABASE_MISSING', 'in the database name')
}

function readName(raw: string | null, missing: 'USER_MISSING' | 'DATABASE_MISSING', place: string): string {
  const name = readPart(raw, missing, place)
  return Buffer.byteLength(name) > MAX_NAME_BYTES ? refuse('NAME_TOO_LONG', place) : name
}

function readHostAndPort(text: string): { host: string; port: number } {
  if (text.includes(',')) refuse('HOSTS_SEVERAL')
  if (!text.startsWith('[')) {
    const [host, port] = splitOnce(text, ':')
    return { host: readHost(host.toLowerCase()), port: readPort(port) }
  }
  const [literal, rest] = splitOnce(text.slice(1), ']')
  if (rest !== '' && !rest?.startsWith(':')) refuse('HOST_INVALID')
  return { host: readIPv6(literal), port: readPort(rest === '' ? null : rest.slice(1)) }
}

function readHost(host: string): string {
  if (host === '') refuse('HOST_MISSING')
  if (endsInNumber(host)) return parseAddress(host) === null ? refuse('HOST_NUMERIC') : host
  return isHostName(host) ? host : refuse('HOST_INVALID')
}

function readIPv6(literal: string): string {
  const address = literal.includes(':') ? parseAddress(literal) : null
  return address === null ? refuse('HOST_INVALID') : formatAddress(address)
}

function readPort(text: string | null): number {
  if (text === null) return DEFAULT_PORT
  if (!/^[1-9][0-9]{0,4}$/.test(text) || Number(text) > 65535) refuse('PORT_INVALID')
  return Number(text)
}
