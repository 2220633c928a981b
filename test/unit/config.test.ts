import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { SettingsError } from '../../src/config/environment.ts'
import { readSettings } from '../../src/config.ts'

const KEY = randomBytes(32).toString('base64')
const SEPARATE = {
  CATALOG_DATABASE_URL: 'postgresql://catalog:pw@db.example.com/catalog',
  SHARED_DATABASE_URL: 'postgresql://shared:pw@db.example.com/shared',
  ENCRYPTION_KEY: KEY,
}

function problemsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  try {
    readSettings(env)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    return Object.fromEntries(error.problems.map(({ name, message }) => [name, message]))
  }
  return {}
}

describe('readSettings', () => {
  it('needs no setting: then the server is embedded and every default applies', () => {
    expect(readSettings({})).toMatchObject({
      embedded: true,
      databases: null,
      encryptionKey: null,
      operatorToken: null,
      host: '127.0.0.1',
      port: 8080,
      logLevel: 'info',
      maxConnections: 100,
      maxConnectionsPerServer: 50,
      maxPools: 500,
      routeCacheMax: 10_000,
      routeCacheTtlMs: 300_000,
      catalogMaxStalenessMs: 300_000,
      healthCheckCron: '*/15 * * * * *',
      healthFailuresToInactive: 3,
      statementTimeoutMs: 15_000,
      acquireTimeoutMs: 5000,
      hostRules: null,
      sslModeDefault: 'verify-full',
      migrateOnStart: 'true',
      actForHeader: 'x-account-id',
      shutdownGraceMs: 20_000,
      shutdownDelayMs: 0,
    })
  })

  it('treats an empty value as missing', () => {
    expect(readSettings({ CATALOG_DATABASE_URL: '', PORT: '', TRUSTED_ISSUERS: '' })).toMatchObject({
      embedded: true,
      port: 8080,
    })
  })

  it('reads separate servers', () => {
    const settings = readSettings({
      ...SEPARATE,
      SHARED_MIGRATION_DATABASE_URL: 'postgresql://owner:pw@db.example.com/shared',
      ENCRYPTION_KEYS_RETIRED: `${randomBytes(32).toString('hex')}, ${randomBytes(32).toString('base64')}`,
      DATABASE_HOSTS_ALLOWED: '.rds.example.com,10.0.0.0/8:5432',
      ACT_FOR_HEADER: 'X-Acting-For',
      MIGRATE_ON_START: 'false',
      CATALOG_DATABASE_URL:
        'postgresql://u:p@db.example.com/catalog?sslmode=require&channel_binding=require&sslnegotiation=direct',
      TRUSTED_ISSUERS: '{"issuer":"https://a.example","jwksUri":"https://a.example/keys","audience":"api"}',
    })
    expect(settings.trustedIssuers).toMatchObject([{ issuer: 'https://a.example', audience: ['api'] }])
    expect(settings.embedded).toBe(false)
    expect(settings.databases?.catalog).toMatchObject({
      ...{ host: 'db.example.com', database: 'catalog' },
      handshake: { channelBinding: 'require', sslNegotiation: 'direct' },
    })
    expect(settings.databases?.sharedMigration).toMatchObject({ user: 'owner' })
    expect(settings.databases?.catalogMigration).toBeNull()
    expect(settings.retiredKeys).toHaveLength(2)
    expect(settings.hostRules?.networks).toHaveLength(1)
    expect(settings).toMatchObject({ actForHeader: 'x-acting-for', migrateOnStart: 'false' })
    expect(Object.isFrozen(settings)).toBe(true)
  })

  it('lists every problem at once', () => {
    const env = {
      CATALOG_DATABASE_URL: 'hello',
      PORT: '80 80',
      LOG_LEVEL: 'loud',
      MAX_CONNECTIONS: '0',
      ROUTE_CACHE_MAX: '1e3',
      MIGRATE_ON_START: 'yes',
      HEALTH_CHECK_CRON: 'often',
      DATABASE_SSLMODE_DEFAULT: 'no-verify',
      DATABASE_HOSTS_ALLOWED: 'a b',
      ACT_FOR_HEADER: 'Authorization',
      OPERATOR_TOKEN: 'short',
      TRUSTED_ISSUERS: '[]',
      HOST: 'http://x',
      SHUTDOWN_GRACE_SECONDS: '-1',
    }
    const named = [...Object.keys(env), 'SHARED_DATABASE_URL', 'ENCRYPTION_KEY']
    expect(Object.keys(problemsOf(env)).sort()).toEqual(named.sort())
  })

  it.each([
    ['without the shared database', { SHARED_DATABASE_URL: '' }, 'SHARED_DATABASE_URL'],
    ['without a key', { ENCRYPTION_KEY: '' }, 'ENCRYPTION_KEY'],
    ['with a short key', { ENCRYPTION_KEY: 'abcd' }, 'ENCRYPTION_KEY'],
    ['with a key of zeros', { ENCRYPTION_KEY: '0'.repeat(64) }, 'ENCRYPTION_KEY'],
    ['with an unreadable retired key', { ENCRYPTION_KEYS_RETIRED: `${KEY},x` }, 'ENCRYPTION_KEYS_RETIRED'],
    [
      'with one database for both',
      { SHARED_DATABASE_URL: SEPARATE.CATALOG_DATABASE_URL },
      'SHARED_DATABASE_URL',
    ],
    [
      'with a parameter in a URL',
      { SHARED_DATABASE_URL: 'postgres://u:p@h/d?host=x' },
      'SHARED_DATABASE_URL',
    ],
    [
      'with a time to wait in a URL, which nothing would keep to',
      { CATALOG_DATABASE_URL: 'postgres://u:p@h/d?connect_timeout=10' },
      'CATALOG_DATABASE_URL',
    ],
    [
      'with channel binding, but without saying that there is TLS',
      { SHARED_DATABASE_URL: 'postgres://u:p@127.0.0.1/d?channel_binding=require' },
      'SHARED_DATABASE_URL',
    ],
    ['with a port that is too high', { PORT: '65536' }, 'PORT'],
    ['with a header that is no token', { ACT_FOR_HEADER: 'x account' }, 'ACT_FOR_HEADER'],
    ['with a token that no header can carry', { OPERATOR_TOKEN: 'ä'.repeat(40) }, 'OPERATOR_TOKEN'],
  ])('does not start %s', (_case, change, name) => {
    expect(Object.keys(problemsOf({ ...SEPARATE, ...change }))).toEqual([name])
  })

  it('refuses a shared database without the other settings', () => {
    expect(Object.keys(problemsOf({ SHARED_DATABASE_URL: SEPARATE.SHARED_DATABASE_URL }))).toEqual([
      'SHARED_DATABASE_URL',
    ])
  })

  it('repeats no value in any form of the error', () => {
    const canary = 'canary-71f3'
    const url = `postgresql://u:${canary}@h/d?unknown=${canary}`
    const env: NodeJS.ProcessEnv = {
      CATALOG_DATABASE_URL: url,
      SHARED_DATABASE_URL: url,
      ENCRYPTION_KEY: canary,
      ENCRYPTION_KEYS_RETIRED: canary,
      OPERATOR_TOKEN: `${canary} `.repeat(5),
      DATABASE_HOSTS_ALLOWED: url,
      TRUSTED_ISSUERS: canary,
      ACT_FOR_HEADER: `${canary}:`,
      PORT: canary,
      HEALTH_CHECK_CRON: canary,
    }
    const error = captured(() => readSettings(env))
    expect(error).toBeInstanceOf(SettingsError)
    expect(inspect(error, { depth: null, showHidden: true })).not.toContain(canary)
    expect(JSON.stringify(error)).not.toContain(canary)
  })

  it('returns secrets that cannot be printed', () => {
    const token = 'operator-canary-0123456789-0123456789'
    const settings = readSettings({ ...SEPARATE, OPERATOR_TOKEN: token })
    const printed = inspect(settings, { depth: null, showHidden: true }) + JSON.stringify(settings)
    expect(printed).not.toContain(token)
    expect(printed).not.toContain(KEY)
    expect(printed).not.toContain('pw@')
    expect(settings.operatorToken?.reveal()).toBe(token)
  })
})

function captured(fn: () => unknown): unknown {
  try {
    return fn()
  } catch (error) {
    return error
  }
}

describe('FREEHOLD_TRACE_SQL', () => {
  it('is off by default, and can be switched on', () => {
    expect(readSettings({}).traceSql).toBe(false)
    expect(readSettings({ FREEHOLD_TRACE_SQL: '1' }).traceSql).toBe(true)
  })

  it('is refused in production', () => {
    expect(() => readSettings({ FREEHOLD_TRACE_SQL: '1', NODE_ENV: 'production' })).toThrow(
      'FREEHOLD_TRACE_SQL is for development',
    )
  })
})
