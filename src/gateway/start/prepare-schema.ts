import { readFacts } from '../../databases/checks.ts'
import { applySettings, greet, readIdentity } from '../../lib/postgres/database-identity.ts'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import {
  type ConnectionLimits,
  connectClient,
  type PhysicalIdentity,
  type ServerAddress,
} from '../../lib/postgres/pg.ts'
import { applyMigrations } from '../../migrations/apply.ts'
import { firstDrift, schemaState } from '../../migrations/drift.ts'
import type { Migration } from '../../migrations/files.ts'
import { Sessionless } from '../../pools/wire/sessionless.ts'
import { StartRefusedError } from './start-refusals.ts'

export interface SchemaPlan {
  /** The role that serves requests. */
  readonly serving: ServerAddress
  /** The role that owns the schema; null if the serving role owns it. */
  readonly owner: ServerAddress | null
  readonly migrations: readonly Migration[]
  readonly migrate: boolean
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
}

export interface PreparedSchema {
  readonly identity: PhysicalIdentity
  /** How many migrations the database lacks. */
  readonly missing: number
}

export const START_LIMITS: ConnectionLimits = { connectTimeoutMs: 5_000, statementTimeoutMs: 30_000 }
/** A migration has no time limit. */
const MIGRATION_LIMITS: ConnectionLimits = { connectTimeoutMs: 5_000, statementTimeoutMs: 0 }
const LOCK_TIMEOUT_MS = 60_000

/** The addresses of the serving role and, if it is another role, of the owner. */
export function addressesOf({ serving, owner }: SchemaPlan): ServerAddress[] {
  return owner === null ? [serving] : [serving, owner]
}

/** Brings a schema up to date if the plan says so, and returns the identity of the database. @throws StartRefusedError */
export function prepareSchema(plan: SchemaPlan): Promise<PreparedSchema> {
  const [address, limits] = plan.migrate
    ? [plan.owner ?? plan.serving, MIGRATION_LIMITS]
    : [plan.serving, START_LIMITS]
  const prepare = async (client: GuardedClient) => {
    if ((await readFacts(client)).encoding !== 'UTF8')
      throw new StartRefusedError(
        'ENCODING_UNSUPPORTED',
        'its encoding is not UTF8, so it cannot store every text',
      )
    const missing = plan.migrate ? await migrate(client, plan) : await countMissing(client, plan)
    return { identity: await readIdentity(client), missing }
  }
  return withClient(address, prepare, limits)
}

async function migrate(client: GuardedClient, { migrations, serving, log }: SchemaPlan): Promise<number> {
  const { applied } = await applyMigrations(client, migrations, { lockTimeoutMs: LOCK_TIMEOUT_MS, log })
  if (applied.length > 0) log.info({ applied, database: serving.database }, 'migrations applied')
  return 0
}

async function countMissing(client: GuardedClient, { migrations }: SchemaPlan): Promise<number> {
  const state = await schemaState(client, migrations)
  const drift = firstDrift(state)
  if (drift !== null) throw new StartRefusedError('SCHEMA_DRIFTED', drift.reason)
  return state.pending.length
}

/** Lends a connection that belongs to no pool. */
export async function withClient<T>(
  address: ServerAddress,
  fn: (client: GuardedClient) => Promise<T>,
  limits = START_LIMITS,
): Promise<T> {
  const client = await connectClient(address, limits)
  try {
    if (address.needsSession === true) await applySettings(client)
    else await greet(client)
    Sessionless.wrap(client, () => connectClient(address, limits))
    return await fn(client)
  } finally {
    void client.end(() => undefined)
  }
}
