import type { MasterKey } from '../crypto/key-source.ts'
import type { TrustedIssuer } from '../identity/tokens/external-settings.ts'
import type { ConnectionTarget, SslMode } from '../lib/postgres/connection-string.ts'
import type { HostRules } from '../lib/postgres/egress.ts'
import type { Secret } from '../lib/secret.ts'
import type { LogLevel } from '../logger.ts'

/** The catalog and the shared database. A migration target is set if the serving role does not own the schema. */
export interface DatabaseTargets {
  readonly catalog: ConnectionTarget
  readonly shared: ConnectionTarget
  readonly catalogMigration: ConnectionTarget | null
  readonly sharedMigration: ConnectionTarget | null
}

/** The settings of a process. A setting that is not set is null or has its default. Numbers carry their unit in their names. */
export interface Settings {
  /** True if no catalog is set. Then Freehold starts an embedded PostgreSQL and seeds demo tenants. */
  readonly embedded: boolean
  /** Null if `embedded`, and only then. */
  readonly databases: DatabaseTargets | null
  /** Null only if `embedded`: the embedded start creates a key once and stores it. */
  readonly encryptionKey: MasterKey | null
  readonly retiredKeys: readonly MasterKey[]
  readonly operatorToken: Secret | null
  readonly host: string
  /** 0: the system chooses a free port. */
  readonly port: number
  readonly logLevel: LogLevel
  /** True: each unit of SQL is logged. Never in production. */
  readonly traceSql: boolean
  readonly maxConnections: number
  readonly maxConnectionsPerServer: number
  readonly maxPools: number
  /** `auto`: reads of declared resources share a few connections of each tenant database. */
  readonly lanes: 'auto' | '0'
  readonly routeCacheMax: number
  readonly routeCacheTtlMs: number
  readonly catalogMaxStalenessMs: number
  readonly healthCheckCron: string
  readonly healthFailuresToInactive: number
  readonly statementTimeoutMs: number
  readonly acquireTimeoutMs: number
  /** Null: every unicast address is allowed, except special ones. */
  readonly hostRules: HostRules | null
  readonly sslModeDefault: SslMode
  /** `catalog`: a start migrates only the catalog; migration runs bring the shared database up to date. */
  readonly migrateOnStart: 'true' | 'catalog' | 'false'
  /** In lower case, as Node writes header names. */
  readonly actForHeader: string
  /** Issuers whose tokens are accepted besides our own. */
  readonly trustedIssuers: readonly TrustedIssuer[]
  /** Addresses and networks of proxies whose X-Forwarded-For is trusted. */
  readonly trustedProxies: readonly string[]
  /** Requests of one principal a minute, in this process. */
  readonly rateLimitPerMinute: number
  /** Login and refresh requests from one address a minute, in this process. */
  readonly loginRateLimitPerMinute: number
  /** Origins whose scripts may call the API from a browser. */
  readonly corsOrigins: readonly string[]
  readonly shutdownGraceMs: number
  /** How long requests are still served after the signal. Part of the grace period, at most half of it. */
  readonly shutdownDelayMs: number
}
