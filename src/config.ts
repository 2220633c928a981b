/**
 * The only reader of the environment. It checks every setting before it refuses, so that one start shows all problems of a
 * deployment. A problem names the setting and never its value.
 */
import { Environment, SettingsError } from './config/environment.ts'
import {
  parseActForHeader,
  parseCron,
  parseHost,
  parseOperatorToken,
  parseOrigins,
  parseOwnDatabase,
  parseRetiredKeys,
  parseTrustedProxies,
} from './config/parsers.ts'
import type { DatabaseTargets, Settings } from './config/settings.ts'
import { parseMasterKey } from './crypto/key-source.ts'
import { parseTrustedIssuers } from './identity/tokens/external-settings.ts'
import type { ConnectionTarget, SslMode } from './lib/postgres/connection-string.ts'
import { parseHostRules } from './lib/postgres/egress.ts'
import { LOG_LEVELS } from './logger.ts'

const SSL_MODES = ['disable', 'require', 'verify-ca', 'verify-full'] as const satisfies readonly SslMode[]
const MILLISECONDS = 1000

export interface SettingsOptions {
  /** False: a missing CATALOG_DATABASE_URL is a problem. True: without it a PostgreSQL is embedded. */
  readonly mayEmbed?: boolean
}

/** Reads and checks the environment. The settings are frozen. @throws SettingsError */
export function readSettings(
  variables: NodeJS.ProcessEnv = process.env,
  { mayEmbed = true }: SettingsOptions = {},
): Settings {
  const env = new Environment(variables)
  const embedded = mayEmbed && env.text('CATALOG_DATABASE_URL') === null
  const settings: Settings = {
    embedded,
    databases: embedded ? refuseDatabasesWithoutCatalog(env) : readDatabases(env),
    ...readSecrets(env, embedded),
    ...readServing(env),
    ...readLimits(env),
    ...readHealth(env),
  }
  if (env.problems.length > 0) throw new SettingsError(env.problems)
  return Object.freeze(settings)
}

function readDatabases(env: Environment): DatabaseTargets | null {
  const catalog = env.required('CATALOG_DATABASE_URL', parseOwnDatabase)
  const shared = env.required('SHARED_DATABASE_URL', parseOwnDatabase)
  const catalogMigration = env.parsed('CATALOG_MIGRATION_DATABASE_URL', parseOwnDatabase)
  const sharedMigration = env.parsed('SHARED_MIGRATION_DATABASE_URL', parseOwnDatabase)
  if (catalog === null || shared === null) return null
  if (databaseKey(catalog) === databaseKey(shared)) {
    env.refuse('SHARED_DATABASE_URL', 'names the catalog database; tenants need another database')
  }
  return Object.freeze({ catalog, shared, catalogMigration, sharedMigration })
}

function databaseKey({ host, port, database }: ConnectionTarget): string {
  return JSON.stringify([host, port, database])
}

function refuseDatabasesWithoutCatalog(env: Environment): null {
  const needCatalog = [
    'SHARED_DATABASE_URL',
    'CATALOG_MIGRATION_DATABASE_URL',
    'SHARED_MIGRATION_DATABASE_URL',
  ]
  for (const name of needCatalog) {
    if (env.text(name) !== null) env.refuse(name, 'is set without CATALOG_DATABASE_URL; set both or neither')
  }
  return null
}

function readSecrets(
  env: Environment,
  embedded: boolean,
): Pick<Settings, 'encryptionKey' | 'retiredKeys' | 'operatorToken'> {
  const encryptionKey = embedded
    ? env.parsed('ENCRYPTION_KEY', parseMasterKey)
    : env.required('ENCRYPTION_KEY', parseMasterKey)
  const retiredKeys = env.parsed('ENCRYPTION_KEYS_RETIRED', parseRetiredKeys) ?? []
  return {
    encryptionKey,
    retiredKeys: Object.freeze(retiredKeys),
    operatorToken: env.parsed('OPERATOR_TOKEN', parseOperatorToken),
  }
}

function readServing(env: Environment) {
  return {
    host: env.parsed('HOST', parseHost) ?? '127.0.0.1',
    port: env.integer('PORT', 8080, { min: 0, max: 65_535 }),
    logLevel: env.choice('LOG_LEVEL', LOG_LEVELS, 'info'),
    traceSql: readTraceSql(env),
    migrateOnStart: env.choice('MIGRATE_ON_START', ['true', 'catalog', 'false'], 'true'),
    actForHeader: env.parsed('ACT_FOR_HEADER', parseActForHeader) ?? 'x-account-id',
    trustedIssuers: env.parsed('TRUSTED_ISSUERS', parseTrustedIssuers) ?? [],
    trustedProxies: Object.freeze(env.parsed('TRUSTED_PROXIES', parseTrustedProxies) ?? []),
    rateLimitPerMinute: env.integer('RATE_LIMIT_PER_MINUTE', 300_000, { min: 1, max: 1_000_000_000 }),
    loginRateLimitPerMinute: env.integer('LOGIN_RATE_LIMIT_PER_MINUTE', 300, { min: 1, max: 1_000_000_000 }),
    corsOrigins: Object.freeze(env.parsed('CORS_ORIGINS', parseOrigins) ?? []),
    shutdownGraceMs: env.integer('SHUTDOWN_GRACE_SECONDS', 20, { min: 0, max: 3600 }) * MILLISECONDS,
    shutdownDelayMs: env.integer('SHUTDOWN_DELAY_SECONDS', 0, { min: 0, max: 3600 }) * MILLISECONDS,
  }
}

/** For development only: one line for each unit would fill the log and slow the gateway down. */
function readTraceSql(env: Environment): boolean {
  const isTraced = env.choice('FREEHOLD_TRACE_SQL', ['0', '1'], '0') === '1'
  if (isTraced && env.text('NODE_ENV') === 'production')
    env.refuse('FREEHOLD_TRACE_SQL', 'is for development only; unset it if NODE_ENV is production')
  return isTraced
}

function readLimits(env: Environment) {
  return {
    maxConnections: env.integer('MAX_CONNECTIONS', 100, { min: 1, max: 100_000 }),
    maxConnectionsPerServer: env.integer('MAX_CONNECTIONS_PER_SERVER', 50, { min: 1, max: 100_000 }),
    lanes: env.choice('LANES', ['auto', '0'], '0'),
    maxPools: env.integer('MAX_POOLS', 500, { min: 1, max: 100_000 }),
    routeCacheMax: env.integer('ROUTE_CACHE_MAX', 10_000, { min: 1, max: 10_000_000 }),
    routeCacheTtlMs: env.integer('ROUTE_CACHE_TTL_SECONDS', 300, { min: 1, max: 86_400 }) * MILLISECONDS,
    catalogMaxStalenessMs:
      env.integer('CATALOG_MAX_STALENESS_SECONDS', 300, { min: 0, max: 86_400 }) * MILLISECONDS,
    statementTimeoutMs: env.integer('STATEMENT_TIMEOUT_MS', 15_000, { min: 1, max: 3_600_000 }),
    acquireTimeoutMs: env.integer('ACQUIRE_TIMEOUT_MS', 5000, { min: 1, max: 600_000 }),
  }
}

function readHealth(env: Environment) {
  return {
    healthCheckCron: env.parsed('HEALTH_CHECK_CRON', parseCron) ?? '*/15 * * * * *',
    healthFailuresToInactive: env.integer('HEALTH_FAILURES_TO_INACTIVE', 3, { min: 1, max: 1000 }),
    hostRules: env.parsed('DATABASE_HOSTS_ALLOWED', parseHostRules),
    sslModeDefault: env.choice('DATABASE_SSLMODE_DEFAULT', SSL_MODES, 'verify-full'),
  }
}

/** The URL of a superuser on a PostgreSQL for tests. The tests and `freehold schema check` use it instead of an embedded server. */
export function testDatabaseUrl(env: NodeJS.ProcessEnv = process.env): string | null {
  return env.TEST_DATABASE_URL || null
}

/** What the operator's commands read. They are no settings of a gateway. */
export function operatorSettings(env: NodeJS.ProcessEnv = process.env): {
  readonly url: string
  readonly token: string | null
} {
  return { url: env.FREEHOLD_URL || 'http://127.0.0.1:8080', token: env.FREEHOLD_TOKEN || null }
}

/** Whether a command shows the stack of an error that it did not expect. */
export function showsStacks(env: NodeJS.ProcessEnv = process.env): boolean {
  return env.LOG_LEVEL === 'debug' || env.LOG_LEVEL === 'trace'
}
