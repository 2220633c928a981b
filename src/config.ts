/**
 * The only reader of the environment. Everything is judged at once, so that whoever starts the gateway sees every
 * problem of a deployment in one go; what is wrong is named by the setting, never by its value.
 */
import ipaddr from 'ipaddr.js'
import { validate as isCronExpression } from 'node-cron'
import { KeyFormatError, type MasterKey, parseMasterKey } from './crypto/key-source.ts'
import {
  parseTrustedIssuers,
  type TrustedIssuer,
  TrustedIssuersError,
} from './identity/tokens/external-settings.ts'
import {
  ConnectionStringError,
  type ConnectionTarget,
  needsTls,
  parseConnectionString,
  type SslMode,
} from './lib/postgres/connection-string.ts'
import { HostRuleError, type HostRules, parseHostRules } from './lib/postgres/egress.ts'
import { Secret } from './lib/secret.ts'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const satisfies readonly SslMode[]

/** Separate servers given by settings. The migration targets own the schema where the serving role does not. */
export interface DatabaseTargets {
  readonly catalog: ConnectionTarget
  readonly shared: ConnectionTarget
  readonly catalogMigration: ConnectionTarget | null
  readonly sharedMigration: ConnectionTarget | null
}

/** What the process was told at its start. Absent values are null; every number carries its unit in its name. */
export interface Settings {
  /** True when no catalog is given: a PostgreSQL of our own is started and demo tenants are seeded. */
  readonly embedded: boolean
  /** Null exactly when `embedded`. */
  readonly databases: DatabaseTargets | null
  /** Null only when `embedded`: then one is made once and kept. */
  readonly encryptionKey: MasterKey | null
  readonly retiredKeys: readonly MasterKey[]
  readonly operatorToken: Secret | null
  readonly host: string
  /** 0 lets the system pick one. */
  readonly port: number
  readonly logLevel: LogLevel
  readonly maxConnections: number
  readonly maxConnectionsPerServer: number
  readonly maxPools: number
  readonly routeCacheMax: number
  readonly routeCacheTtlMs: number
  readonly catalogMaxStalenessMs: number
  readonly healthCheckCron: string
  readonly healthFailuresToInactive: number
  readonly statementTimeoutMs: number
  readonly acquireTimeoutMs: number
  /** Null: every unicast address but the special ones. */
  readonly hostRules: HostRules | null
  readonly sslModeDefault: SslMode
  /** `catalog`: the catalog alone; the shared database is left to runs of migrations. */
  readonly migrateOnStart: 'true' | 'catalog' | 'false'
  /** In lower case, as Node gives header names. */
  readonly actForHeader: string
  /** Whose tokens are accepted besides our own. */
  readonly trustedIssuers: readonly TrustedIssuer[]
  /** Addresses and networks of proxies whose X-Forwarded-For is believed. */
  readonly trustedProxies: readonly string[]
  /** Requests of one principal a minute, in this process. */
  readonly rateLimitPerMinute: number
  /** Attempts at logging in and refreshing from one address a minute, in this process. */
  readonly loginRateLimitPerMinute: number
  /** Origins whose scripts may call the API from a browser. */
  readonly corsOrigins: readonly string[]
  readonly shutdownGraceMs: number
  /** How long requests are still served after the signal; counts within the grace, at most half of it. */
  readonly shutdownDelayMs: number
}

export interface SettingProblem {
  readonly name: string
  readonly message: string
}

/** Every problem of the environment at once. Neither the message nor the problems repeat a value. */
export class SettingsError extends Error {
  readonly problems: readonly SettingProblem[]

  constructor(problems: readonly SettingProblem[]) {
    super(problems.map(({ name, message }) => `${name} ${message}`).join('\n'))
    this.name = 'SettingsError'
    this.problems = problems
  }
}

export interface SettingsOptions {
  /** False: without CATALOG_DATABASE_URL the settings that are missing are listed. */
  readonly mayEmbed?: boolean
}

/** Reads and checks the environment. Throws SettingsError; the answer is frozen. */
export function readSettings(
  env: NodeJS.ProcessEnv = process.env,
  { mayEmbed = true }: SettingsOptions = {},
): Settings {
  const reader = new Reader(env)
  const embedded = mayEmbed && reader.text('CATALOG_DATABASE_URL') === null
  const settings: Settings = {
    embedded,
    databases: embedded ? refuseStrayDatabases(reader) : readDatabases(reader),
    ...readSecrets(reader, embedded),
    ...readServing(reader),
    ...readLimits(reader),
    ...readHealth(reader),
  }
  if (reader.problems.length > 0) throw new SettingsError(reader.problems)
  return Object.freeze(settings)
}

function readDatabases(reader: Reader): DatabaseTargets | null {
  const catalog = reader.required('CATALOG_DATABASE_URL', parseOwnDatabase)
  const shared = reader.required('SHARED_DATABASE_URL', parseOwnDatabase)
  const catalogMigration = reader.parsed('CATALOG_MIGRATION_DATABASE_URL', parseOwnDatabase)
  const sharedMigration = reader.parsed('SHARED_MIGRATION_DATABASE_URL', parseOwnDatabase)
  if (catalog === null || shared === null) return null
  if (placeOf(catalog) === placeOf(shared)) {
    reader.refuse('SHARED_DATABASE_URL', 'names the catalog database; tenants need one of their own')
  }
  return Object.freeze({ catalog, shared, catalogMigration, sharedMigration })
}

/** How long is waited for our own databases is not for the string to say; and whether TLS is used must not depend on a default. */
function parseOwnDatabase(text: string): ConnectionTarget {
  const target = parseConnectionString(text)
  if (target.connectTimeoutSeconds !== null)
    throw new Refusal("must not have a connect_timeout: that is for tenants' databases")
  if (target.sslMode === null && needsTls(target.handshake))
    throw new Refusal('must have an sslmode beside channel_binding=require or sslnegotiation=direct')
  return target
}

function placeOf({ host, port, database }: ConnectionTarget): string {
  return JSON.stringify([host, port, database])
}

function refuseStrayDatabases(reader: Reader): null {
  const needCatalog = [
    'SHARED_DATABASE_URL',
    'CATALOG_MIGRATION_DATABASE_URL',
    'SHARED_MIGRATION_DATABASE_URL',
  ]
  for (const name of needCatalog) {
    if (reader.text(name) !== null)
      reader.refuse(name, 'is given without CATALOG_DATABASE_URL; give both or none')
  }
  return null
}

function readSecrets(reader: Reader, embedded: boolean) {
  const encryptionKey = embedded
    ? reader.parsed('ENCRYPTION_KEY', parseMasterKey)
    : reader.required('ENCRYPTION_KEY', parseMasterKey)
  const retiredKeys = reader.parsed('ENCRYPTION_KEYS_RETIRED', parseRetiredKeys) ?? []
  return {
    encryptionKey,
    retiredKeys: Object.freeze(retiredKeys),
    operatorToken: reader.parsed('OPERATOR_TOKEN', parseOperatorToken),
  }
}

function parseRetiredKeys(text: string): MasterKey[] {
  return text.split(',').map((key) => parseMasterKey(key.trim()))
}

/** Has to travel in an Authorization header. */
function parseOperatorToken(text: string): Secret {
  if (text.length < 32) throw new Refusal('must have at least 32 characters')
  if (text.length > 512) throw new Refusal('must have at most 512 characters')
  if (!/^[A-Za-z0-9._~+/=-]+$/.test(text))
    throw new Refusal('may have only letters, digits and - . _ ~ + / =')
  return new Secret(text)
}

function readServing(reader: Reader) {
  return {
    host: reader.parsed('HOST', parseHost) ?? '127.0.0.1',
    port: reader.whole('PORT', 8080, 0, 65_535),
    logLevel: reader.choice('LOG_LEVEL', LOG_LEVELS, 'info'),
    migrateOnStart: reader.choice('MIGRATE_ON_START', ['true', 'catalog', 'false'], 'true'),
    actForHeader: reader.parsed('ACT_FOR_HEADER', parseActForHeader) ?? 'x-account-id',
    trustedIssuers: reader.parsed('TRUSTED_ISSUERS', parseTrustedIssuers) ?? [],
    trustedProxies: Object.freeze(reader.parsed('TRUSTED_PROXIES', parseTrustedProxies) ?? []),
    rateLimitPerMinute: reader.whole('RATE_LIMIT_PER_MINUTE', 300_000, 1, 1_000_000_000),
    loginRateLimitPerMinute: reader.whole('LOGIN_RATE_LIMIT_PER_MINUTE', 300, 1, 1_000_000_000),
    corsOrigins: Object.freeze(reader.parsed('CORS_ORIGINS', parseOrigins) ?? []),
    shutdownGraceMs: reader.whole('SHUTDOWN_GRACE_SECONDS', 20, 0, 3600) * 1000,
    shutdownDelayMs: reader.whole('SHUTDOWN_DELAY_SECONDS', 0, 0, 3600) * 1000,
  }
}

/** Every address trusted would let each caller choose the address it is counted by. */
function parseTrustedProxies(text: string): string[] {
  return text.split(',').map((part) => {
    const network = part.trim()
    const isWhole = isAddress(network) || ipaddr.isValidCIDR(network)
    if (!isWhole || /\/0+$/.test(network))
      throw new Refusal('must list addresses and CIDRs, none of them of length 0')
    return network
  })
}

function isAddress(text: string): boolean {
  return ipaddr.isValid(text) && (text.includes(':') || /^\d+(?:\.\d+){3}$/.test(text))
}

function parseHost(text: string): string {
  if (!/^[A-Za-z0-9.:_-]{1,255}$/.test(text))
    throw new Refusal('must be a host name or an address without brackets')
  return text
}

const RESERVED_HEADERS: readonly string[] = [
  ...[
    'authorization',
    'proxy-authorization',
    'cookie',
    'x-client-key',
    'x-tenant-code',
    'x-request-id',
    'host',
  ],
  ...[
    'connection',
    'keep-alive',
    'upgrade',
    'te',
    'trailer',
    'transfer-encoding',
    'expect',
    'origin',
    'referer',
  ],
  ...['content-length', 'content-type', 'content-encoding', 'accept', 'accept-encoding', 'accept-language'],
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'range', 'idempotency-key'],
  ...['user-agent', 'forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'date', 'via'],
]

function parseActForHeader(text: string): string {
  const name = text.toLowerCase()
  // RFC 9110, section 5.6.2: a field name is a token.
  if (!/^[a-z0-9!#$%&'*+.^_`|~-]{1,64}$/.test(name))
    throw new Refusal('must be a header name of at most 64 characters')
  if (RESERVED_HEADERS.includes(name)) throw new Refusal('names a header that has another meaning')
  return name
}

/** Each as a browser writes it in `Origin`: anything else would never match, and look as if it did. */
function parseOrigins(text: string): string[] {
  return text.split(',').map((part) => {
    const origin = part.trim()
    if (!/^https?:/.test(origin) || !URL.canParse(origin) || new URL(origin).origin !== origin)
      throw new Refusal('must list origins: scheme, host and port, without a path; no wildcard')
    return origin
  })
}

function readLimits(reader: Reader) {
  return {
    maxConnections: reader.whole('MAX_CONNECTIONS', 100, 1, 100_000),
    maxConnectionsPerServer: reader.whole('MAX_CONNECTIONS_PER_SERVER', 50, 1, 100_000),
    maxPools: reader.whole('MAX_POOLS', 500, 1, 100_000),
    routeCacheMax: reader.whole('ROUTE_CACHE_MAX', 10_000, 1, 10_000_000),
    routeCacheTtlMs: reader.whole('ROUTE_CACHE_TTL_SECONDS', 300, 1, 86_400) * 1000,
    catalogMaxStalenessMs: reader.whole('CATALOG_MAX_STALENESS_SECONDS', 300, 0, 86_400) * 1000,
    statementTimeoutMs: reader.whole('STATEMENT_TIMEOUT_MS', 15_000, 1, 3_600_000),
    acquireTimeoutMs: reader.whole('ACQUIRE_TIMEOUT_MS', 5000, 1, 600_000),
  }
}

function readHealth(reader: Reader) {
  return {
    healthCheckCron: reader.parsed('HEALTH_CHECK_CRON', parseCron) ?? '*/15 * * * * *',
    healthFailuresToInactive: reader.whole('HEALTH_FAILURES_TO_INACTIVE', 3, 1, 1000),
    hostRules: reader.parsed('DATABASE_HOSTS_ALLOWED', parseHostRules),
    sslModeDefault: reader.choice('DATABASE_SSLMODE_DEFAULT', SSL_MODES, 'verify-full'),
  }
}

function parseCron(text: string): string {
  if (!isCronExpression(text)) throw new Refusal('must be a cron expression of five or six fields')
  return text
}

/** A fault of a value in our own words, which repeat nothing of it. */
class Refusal extends Error {}

/** Reads one setting after the other and collects what is wrong with them. */
class Reader {
  readonly problems: SettingProblem[] = []
  readonly #env: NodeJS.ProcessEnv

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env
  }

  /** An empty value means the same as none: compose files and CI systems write it for "not set". */
  text(name: string): string | null {
    return this.#env[name] || null
  }

  refuse(name: string, message: string): void {
    this.problems.push({ name, message })
  }

  parsed<T>(name: string, parse: (text: string) => T): T | null {
    const text = this.text(name)
    if (text === null) return null
    try {
      return parse(text)
    } catch (error) {
      this.refuse(name, reasonOf(error))
      return null
    }
  }

  required<T>(name: string, parse: (text: string) => T): T | null {
    if (this.text(name) === null) this.refuse(name, 'is required where no PostgreSQL is embedded')
    return this.parsed(name, parse)
  }

  whole(name: string, fallback: number, min: number, max: number): number {
    const text = this.text(name)
    if (text === null) return fallback
    if (/^(?:0|[1-9][0-9]{0,9})$/.test(text) && Number(text) >= min && Number(text) <= max)
      return Number(text)
    this.refuse(name, `must be a whole number from ${min} to ${max}`)
    return fallback
  }

  choice<T extends string>(name: string, choices: readonly T[], fallback: T): T {
    const text = this.text(name)
    const found = text === null ? fallback : choices.find((choice) => choice === text)
    if (found === undefined) this.refuse(name, `must be one of ${choices.join(', ')}`)
    return found ?? fallback
  }

  flag(name: string, fallback: boolean): boolean {
    return this.choice(name, ['true', 'false'], fallback ? 'true' : 'false') === 'true'
  }
}

/** The texts of these parsers are fixed but for HostRuleError's, which quotes its entries. */
function reasonOf(error: unknown): string {
  if (error instanceof Refusal || error instanceof ConnectionStringError) return error.message
  if (error instanceof TrustedIssuersError) return error.message
  if (error instanceof KeyFormatError) return `is not usable: ${error.message}`
  if (error instanceof HostRuleError) {
    return `has ${error.entries.length} that are not a host, suffix, address or CIDR with an optional port`
  }
  throw error
}

/** A superuser's URL on a PostgreSQL for tests, which they and `freehold schema check` use rather than an embedded one. */
export function testDatabaseUrl(env: NodeJS.ProcessEnv = process.env): string | null {
  return env.TEST_DATABASE_URL || null
}
