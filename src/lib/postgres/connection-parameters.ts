import { readPart, splitOnce } from './connection-parts.ts'
import { type ConnectionStringReason, refuse } from './connection-refusals.ts'

export type SslMode = 'disable' | 'require' | 'verify-ca' | 'verify-full'

/** What a new connection must do. A field that is absent was not given. */
export interface HandshakeOptions {
  /** `require`: the server must prove by SCRAM that the TLS connection ends at itself. Absent is the same as `disable`. */
  readonly channelBinding?: 'disable' | 'prefer' | 'require'
  /** `direct`: TLS begins with the first byte, as PostgreSQL 17 and newer allow. */
  readonly sslNegotiation?: 'postgres' | 'direct'
  /** `read-write`: a read-only server is refused. */
  readonly targetSessionAttrs?: 'read-write'
  /** Neon's name of the server, for connections without SNI. */
  readonly endpoint?: string
}

export interface ConnectionParameters {
  /** null: not given. */
  readonly sslMode: SslMode | null
  readonly applicationName: string | null
  readonly connectTimeoutSeconds: number | null
  readonly handshake: HandshakeOptions
}

interface Draft {
  sslMode?: SslMode
  applicationName?: string
  connectTimeoutSeconds?: number
  channelBinding?: 'disable' | 'prefer' | 'require'
  sslNegotiation?: 'postgres' | 'direct'
  targetSessionAttrs?: 'read-write'
  endpoint?: string
}

const READERS = new Map<string, (value: string | null) => Draft>([
  ['sslmode', (value) => ({ sslMode: readSslMode(value) })],
  ['application_name', (value) => ({ applicationName: readApplicationName(value) })],
  [
    'channel_binding',
    (value) => ({
      channelBinding: oneOf(value, ['disable', 'prefer', 'require'], 'CHANNEL_BINDING_INVALID'),
    }),
  ],
  [
    'sslnegotiation',
    (value) => ({ sslNegotiation: oneOf(value, ['postgres', 'direct'], 'SSLNEGOTIATION_INVALID') }),
  ],
  [
    'target_session_attrs',
    (value) => ({ targetSessionAttrs: oneOf(value, ['read-write'], 'TARGET_SESSION_ATTRS_INVALID') }),
  ],
  ['connect_timeout', (value) => ({ connectTimeoutSeconds: readConnectTimeout(value) })],
  ['options', (value) => ({ endpoint: readEndpoint(value) })],
])

/** Parameters of PostgreSQL whose refusal needs a better text than "unknown". */
const REFUSED = new Map<string, ConnectionStringReason>([
  ['sslrootcert', 'CERTIFICATE_FILE'],
  ['sslcert', 'CLIENT_CERTIFICATE'],
  ['sslkey', 'CLIENT_CERTIFICATE'],
  ['sslpassword', 'CLIENT_CERTIFICATE'],
])

/** Reads the part after the question mark. */
export function readParameters(query: string | null): ConnectionParameters {
  // This part may then hold a piece of the password, so a message must not repeat any name in it.
  if (query?.includes('@')) refuse('CREDENTIALS_INVALID')
  const { sslMode, applicationName, connectTimeoutSeconds, ...handshake } = collect(query)
  if (sslMode === 'disable' && needsTls(handshake)) refuse('TLS_NEEDED')
  return {
    sslMode: sslMode ?? null,
    applicationName: applicationName ?? null,
    connectTimeoutSeconds: connectTimeoutSeconds ?? null,
    handshake,
  }
}

/** True if a parameter needs TLS. */
export function needsTls({ channelBinding, sslNegotiation }: HandshakeOptions): boolean {
  return channelBinding === 'require' || sslNegotiation === 'direct'
}

function collect(query: string | null): Draft {
  const seen = new Set<string>()
  let draft: Draft = {}
  for (const parameter of query?.split('&') ?? []) {
    const [name, value] = splitOnce(parameter, '=')
    const read = READERS.get(name)
    if (read === undefined) return refuse(REFUSED.get(name) ?? 'PARAMETER_UNKNOWN', sayable(name))
    if (seen.has(name)) refuse('PARAMETER_REPEATED', name)
    seen.add(name)
    draft = { ...draft, ...read(value) }
  }
  return draft
}

/** A parameter's name, if it has the form of one and may appear in a message. */
function sayable(name: string): string | undefined {
  return /^[A-Za-z0-9_.-]{1,40}$/.test(name) ? name : undefined
}

function oneOf<T extends string>(
  value: string | null,
  choices: readonly T[],
  otherwise: ConnectionStringReason,
): T {
  return choices.find((choice) => choice === value) ?? refuse(otherwise)
}

function readSslMode(value: string | null): SslMode {
  if (value === 'prefer' || value === 'allow') refuse('SSLMODE_FALLS_BACK')
  return oneOf(value, ['disable', 'require', 'verify-ca', 'verify-full'], 'SSLMODE_INVALID')
}

function readApplicationName(value: string | null): string {
  if (value?.includes('=')) refuse('RESERVED_CHARACTER', 'application_name')
  const name = readPart(value, 'APPLICATION_NAME_INVALID', 'application_name')
  return /^[\x20-\x7e]{1,63}$/.test(name) ? name : refuse('APPLICATION_NAME_INVALID')
}

/** The limits are those of `connectionTimeoutSeconds`. */
function readConnectTimeout(value: string | null): number {
  const seconds = /^[1-9][0-9]?$/.test(value ?? '') ? Number(value) : 0
  return seconds >= 1 && seconds <= 60 ? seconds : refuse('CONNECT_TIMEOUT_INVALID')
}

/** Anything else in `options` would be a server setting. The gateway makes those itself. */
function readEndpoint(value: string | null): string {
  const [, endpoint] =
    /^endpoint%3[Dd]([A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?)$/.exec(value ?? '') ?? []
  return endpoint ?? refuse('OPTIONS_INVALID')
}
