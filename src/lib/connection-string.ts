/**
 * The only reader of connection strings. The driver's own parser lets the URL override the code, falls back to
 * our environment and reads files, so it never sees one: it is handed the parts found here.
 */
import { endsInNumber, formatAddress, isHostName, parseAddress } from './addresses.ts'
import { Secret } from './secret.ts'

export { isIpLiteral } from './addresses.ts'

export type SslMode = 'disable' | 'require' | 'verify-ca' | 'verify-full'

export interface ConnectionTarget {
  /** Lower-case name, dotted IPv4, or IPv6 without brackets in its one canonical spelling. */
  host: string
  port: number
  database: string
  user: string
  password: Secret
  /** null: not given. */
  sslMode: SslMode | null
  applicationName: string | null
}

/** Fixed texts: a part of the input in a message would carry passwords into answers and logs. */
const REASONS = {
  TOO_LONG: 'must be at most 2048 bytes',
  CHARACTER_INVALID: 'must not contain whitespace, control characters or broken Unicode',
  SCHEME_INVALID: 'must begin with postgresql:// or postgres://',
  FRAGMENT: 'must not contain #; write it as %23',
  ENCODING_INVALID: 'has a percent encoding that is malformed or not UTF-8',
  CONTROL_ENCODED: 'must not contain encoded control characters',
  RESERVED_CHARACTER: 'has a reserved character in a user, password, database or value; percent-encode it',
  CREDENTIALS_INVALID: 'must have the form user:password@host with exactly one @; percent-encode any other',
  USER_MISSING: 'must name a user',
  PASSWORD_MISSING: 'must contain a password',
  HOST_MISSING: 'must name a host; sockets are not supported',
  HOST_INVALID: 'must name its host plainly, without percent encodings, zones or a final dot',
  HOST_NUMERIC: 'must write an address as dotted decimal IPv4 or as IPv6 in brackets',
  HOSTS_SEVERAL: 'must name exactly one host',
  PORT_INVALID: 'must have a port between 1 and 65535',
  DATABASE_MISSING: 'must name a database',
  NAME_TOO_LONG: 'must name a user and a database of at most 63 bytes; PostgreSQL cuts longer names short',
  PATH_INVALID: 'must have nothing but the database name in its path',
  PARAMETER_UNKNOWN: 'may have no parameters but sslmode and application_name, as name=value',
  PARAMETER_REPEATED: 'must give each parameter at most once',
  SSLMODE_INVALID: 'must have an sslmode of disable, require, verify-ca or verify-full',
  APPLICATION_NAME_INVALID: 'must have an application_name of 1 to 63 printable ASCII characters',
} as const

export type ConnectionStringReason = keyof typeof REASONS

/** Says why a connection string was refused. Its message is one of a fixed set and quotes nothing. */
export class ConnectionStringError extends Error {
  readonly reason: ConnectionStringReason

  constructor(reason: ConnectionStringReason) {
    super(REASONS[reason])
    this.name = 'ConnectionStringError'
    this.reason = reason
  }
}

const MAX_BYTES = 2048
/** NAMEDATALEN of a server, less the zero that ends a name. */
const MAX_NAME_BYTES = 63
const DEFAULT_PORT = 5432

/**
 * Reads `postgresql://user:password@host[:port]/database[?sslmode=…&application_name=…]`, without a look-up.
 * Throws ConnectionStringError for everything else.
 */
export function parseConnectionString(text: string): ConnectionTarget {
  assertPlainText(text)
  const [location, query] = splitOnce(afterScheme(text), '?')
  const [authority, path] = splitOnce(location, '/')
  const [credentials, hostAndPort] = splitOnce(authority, '@')
  if (hostAndPort === null || hostAndPort.includes('@')) refuse('CREDENTIALS_INVALID')
  const [user, password] = splitOnce(credentials, ':')
  return {
    user: readName(user, 'USER_MISSING'),
    password: new Secret(readPart(password, 'PASSWORD_MISSING')),
    ...readHostAndPort(hostAndPort),
    database: readDatabase(path),
    ...readParameters(query),
  }
}

function assertPlainText(text: string): void {
  if (text.length > MAX_BYTES || Buffer.byteLength(text) > MAX_BYTES) refuse('TOO_LONG')
  if (!text.isWellFormed() || /[\s\p{Cc}]/u.test(text)) refuse('CHARACTER_INVALID')
  if (text.includes('#')) refuse('FRAGMENT')
}

function afterScheme(text: string): string {
  for (const scheme of ['postgresql://', 'postgres://']) {
    if (text.startsWith(scheme)) return text.slice(scheme.length)
  }
  return refuse('SCHEME_INVALID')
}

/** A name that PostgreSQL does not cut short: what is left of it may be another's. */
function readName(raw: string | null, missing: ConnectionStringReason): string {
  const name = readPart(raw, missing)
  return Buffer.byteLength(name) > MAX_NAME_BYTES ? refuse('NAME_TOO_LONG') : name
}

/** Percent-decodes one part, after refusing the characters over which URL parsers disagree. */
function readPart(raw: string | null, missing: ConnectionStringReason): string {
  if (!raw) return refuse(missing)
  if (/[[\]@?\\]/.test(raw)) refuse('RESERVED_CHARACTER')
  const part = decode(raw)
  // Line and paragraph separators end a line in some logs and terminals, as control characters do.
  if (/[\p{Cc}\u2028\u2029]/u.test(part)) refuse('CONTROL_ENCODED')
  return part
}

function decode(raw: string): string {
  try {
    return decodeURIComponent(raw)
  } catch {
    return refuse('ENCODING_INVALID')
  }
}

function readDatabase(path: string | null): string {
  if (path?.includes('/')) refuse('PATH_INVALID')
  return readName(path, 'DATABASE_MISSING')
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

function readParameters(query: string | null): Pick<ConnectionTarget, 'sslMode' | 'applicationName'> {
  const found: Pick<ConnectionTarget, 'sslMode' | 'applicationName'> = {
    sslMode: null,
    applicationName: null,
  }
  for (const parameter of query?.split('&') ?? []) {
    const [name, value] = splitOnce(parameter, '=')
    if (name === 'sslmode') {
      if (found.sslMode !== null) refuse('PARAMETER_REPEATED')
      found.sslMode = readSslMode(value)
    } else if (name === 'application_name') {
      if (found.applicationName !== null) refuse('PARAMETER_REPEATED')
      found.applicationName = readApplicationName(value)
    } else {
      refuse('PARAMETER_UNKNOWN')
    }
  }
  return found
}

function readSslMode(value: string | null): SslMode {
  if (value === 'disable' || value === 'require' || value === 'verify-ca' || value === 'verify-full')
    return value
  return refuse('SSLMODE_INVALID')
}

function readApplicationName(value: string | null): string {
  if (value?.includes('=')) refuse('RESERVED_CHARACTER')
  const name = readPart(value, 'APPLICATION_NAME_INVALID')
  return /^[\x20-\x7e]{1,63}$/.test(name) ? name : refuse('APPLICATION_NAME_INVALID')
}

/** Splits at the first separator; the second part is null where there is none. */
function splitOnce(text: string, separator: string): [string, string | null] {
  const at = text.indexOf(separator)
  return at < 0 ? [text, null] : [text.slice(0, at), text.slice(at + 1)]
}

function refuse(reason: ConnectionStringReason): never {
  throw new ConnectionStringError(reason)
}
