import type { RouteDatabase } from '../catalog/directory.ts'
import type { PoolLimits } from '../lib/postgres/pg.ts'

interface Configured {
  readonly sharedPoolSize: number
  readonly statementTimeoutMs: number
}

const OWNER_POOL_SIZE = 2
const SHARED_LIMITS = { connectTimeoutMs: 5_000, idleTimeoutMs: 30_000 }
/** A tenant's server is not trusted, so the size of its answers is limited. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024

/** The limits of a pool's connections; `database` is null for the shared one. */
export function limitsOf(
  database: RouteDatabase | null,
  { sharedPoolSize, statementTimeoutMs }: Configured,
): PoolLimits {
  if (database === null) return { ...SHARED_LIMITS, max: sharedPoolSize, statementTimeoutMs, plansOnce: true }
  const { poolSize: max, connectTimeoutMs, idleTimeoutMs } = database
  const own = { max, connectTimeoutMs, idleTimeoutMs, maxAnswerBytes: MAX_ANSWER_BYTES }
  return { ...own, statementTimeoutMs, plansOnce: true }
}

/** For the pool of the role that owns the tables of the shared database. */
export function ownerLimits({ statementTimeoutMs }: Configured): PoolLimits {
  return { ...SHARED_LIMITS, max: OWNER_POOL_SIZE, statementTimeoutMs }
}
