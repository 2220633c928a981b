import { LIVE_MS } from '../catalog/changes/replicas.ts'
import { CatalogSealedWithOtherKeyError } from '../catalog/vault.ts'
import { lookAt } from '../databases/checks.ts'
import { greet, readIdentity, settleSession } from '../lib/postgres/database-identity.ts'
import {
  type ConnectionLimits,
  connectClient,
  databaseError,
  errorCode,
  type GuardedClient,
  type PhysicalIdentity,
  type ServerAddress,
} from '../lib/postgres/pg.ts'
import { PoolerUnsupportedError } from '../lib/postgres/pooler-faults.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { firstDrift, schemaState } from '../migrations/drift.ts'
import { type Migration, MigrationFileError } from '../migrations/files.ts'
import { assertWholeSessions } from '../pools/pool-mode.ts'
import { assertUsable, Sessionless } from '../pools/wire/sessionless.ts'
import {
  type DeclaredTables,
  findIsolationViolations,
  findLostPromises,
  findRoleViolations,
  findTableDifferences,
  type Violation,
} from '../residence/isolation.ts'

/** A start that repeating will not mend: the process ends with exit code 78 (sysexits.h, EX_CONFIG). */
export class StartRefusedError extends Error {
  readonly code: string

  constructor(code: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'StartRefusedError'
    this.code = code
  }
}

export interface SchemaPlan {
  /** Serves requests. */
  readonly serving: ServerAddress
  /** Owns the schema, where the serving role does not. */
  readonly owner: ServerAddress | null
  readonly migrations: readonly Migration[]
  readonly migrate: boolean
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void }
}

/** A migration may take its time; a look at what there is may not. */
const MIGRATION_LIMITS: ConnectionLimits = { connectTimeoutMs: 5_000, statementTimeoutMs: 0 }
const LIMITS: ConnectionLimits = { connectTimeoutMs: 5_000, statementTimeoutMs: 30_000 }
const LOCK_TIMEOUT_MS = 60_000
/** Codes of refusals that waiting does not mend. */
const HOPELESS = new Set([
  '28P01',
  '28000',
  '3D000',
  '42501',
  'SCHEMA_DRIFTED',
  'PERMISSION_MISSING',
  'CLEAR_TEXT_PASSWORD',
])

/** The schema is older than this release needs, and settings forbid to bring it up to date. */
export class SchemaOutdatedError extends Error {
  readonly code = 'SCHEMA_OUT_OF_DATE'
}

/** Waiting helps: the start goes on when the last of them has been stopped. */
export class FormerReplicasError extends Error {
  readonly code = 'FORMER_REPLICAS'

  constructor(live: number) {
    super(
      `${live} replicas of an older release are running: stop them all, this release cannot run beside them`,
    )
  }
}

/** What a failed start is refused with; null where trying again may help. */
export function refusalIn(error: unknown): StartRefusedError | null {
  if (error instanceof StartRefusedError) return error
  if (error instanceof MigrationFileError) return new StartRefusedError(error.code, error.message)
  if (error instanceof CatalogSealedWithOtherKeyError) {
    return new StartRefusedError(error.code, `ENCRYPTION_KEY: ${error.message}`)
  }
  return null
}

/** Brings the catalog's schema up to date and tells which database it is. @throws StartRefusedError, SchemaOutdatedError */
export function prepareCatalog(plan: SchemaPlan): Promise<PhysicalIdentity> {
  return refusing('CATALOG_DATABASE_URL', async () => {
    for (const address of [plan.serving, plan.owner ?? []].flat())
      await assertWholeSessions(() => connectClient(address, LIMITS))
    await withClient(plan.serving, (client) => assertFormerStopped(client, plan.migrations))
    const { identity, missing } = await prepare(plan)
    if (missing > 0) throw new SchemaOutdatedError(`${missing} migrations are not applied`)
    return identity
  })
}

/**
 * Replicas of the release before lineages do not understand the journals and the policies of this one: none may be at work
 * when the first of this release converts them.
 * @throws FormerReplicasError as long as one of them is alive
 */
async function assertFormerStopped(client: GuardedClient, migrations: readonly Migration[]): Promise<void> {
  if (!(await schemaState(client, migrations)).isFormer) return
  const { rows } = await client.query<{ live: number }>(
    `SELECT pg_catalog.count(*)::int AS live FROM public.replicas
      WHERE heartbeat_at > pg_catalog.now() - pg_catalog.make_interval(secs => $1)`,
    [LIVE_MS / 1_000],
  )
  const live = rows[0]?.live ?? 0
  if (live > 0) throw new FormerReplicasError(live)
}

/**
 * Brings the shared database's schema up to date where that is asked for, proves its isolation and that the serving role
 * cannot get around it. One that is behind serves what it can, and a run of migrations brings it further.
 * @throws StartRefusedError
 */
export function prepareShared(
  plan: SchemaPlan & { tables: DeclaredTables },
): Promise<{ identity: PhysicalIdentity; isBehind: boolean }> {
  return refusing('SHARED_DATABASE_URL', async () => {
    for (const address of [plan.serving, plan.owner ?? []].flat()) await withClient(address, assertUsable)
    await assertOrdinaryRole(plan.serving)
    const { identity, missing } = await prepare(plan)
    // What is demanded of the tables are the rules of this release.
    if (missing > 0) return { identity, isBehind: true }
    await assertDeclared(plan)
    await assertIsolation(plan.serving, plan.tables)
    await assertOperable(plan)
    await tellLostPromises(plan)
    return { identity, isBehind: false }
  })
}

/** Which database it is, and how many migrations it lacks. */
function prepare(plan: SchemaPlan): Promise<{ identity: PhysicalIdentity; missing: number }> {
  const [address, limits] = plan.migrate
    ? [plan.owner ?? plan.serving, MIGRATION_LIMITS]
    : [plan.serving, LIMITS]
  const prepared = async (client: GuardedClient) => {
    if ((await lookAt(client)).encoding !== 'UTF8')
      throw new StartRefusedError(
        'ENCODING_UNSUPPORTED',
        'its encoding is not UTF8, so it cannot keep every text',
      )
    let missing = 0
    if (plan.migrate) {
      const { applied } = await applyMigrations(client, plan.migrations, {
        lockTimeoutMs: LOCK_TIMEOUT_MS,
        log: plan.log,
      })
      if (applied.length > 0)
        plan.log.info({ applied, database: plan.serving.database }, 'migrations applied')
    } else {
      const state = await schemaState(client, plan.migrations)
      const drift = firstDrift(state)
      if (drift !== null) throw new StartRefusedError('SCHEMA_DRIFTED', drift.reason)
      missing = state.pending.length
    }
    return { identity: await readIdentity(client), missing }
  }
  return withClient(address, prepared, limits)
}

async function assertOrdinaryRole(address: ServerAddress): Promise<void> {
  const violations = await withClient(address, findRoleViolations)
  if (violations.length > 0) {
    throw new StartRefusedError('ROLE_BYPASSES_RLS', 'its role is superuser or BYPASSRLS, or may become one')
  }
}

/**
 * Before a request needs one: a table that is not there would be a 500 each time. One that no declaration knows would be moved,
 * exported and erased by none; only where a newer release has been at work it is that release's.
 */
async function assertDeclared(plan: SchemaPlan & { tables: DeclaredTables }): Promise<void> {
  const { missing, undeclared, isAhead } = await withClient(plan.serving, async (client) => {
    const { ahead } = await schemaState(client, plan.migrations)
    return { ...(await findTableDifferences(client, plan.tables)), isAhead: ahead.length > 0 }
  })
  const list = (names: readonly string[]) => names.map((name) => `"${name}"`).join(', ')
  if (missing.length > 0)
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `no migration has created ${list(missing)}, which the application declares. Run: freehold schema check`,
    )
  if (undeclared.length > 0 && !isAhead)
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `it has ${list(undeclared)}, which the application does not declare. Declare it, or drop it. Run: freehold schema check`,
    )
}

async function assertIsolation(address: ServerAddress, tables: DeclaredTables): Promise<void> {
  const [violation] = await withClient(address, (client) =>
    findIsolationViolations(client, { everything: true, tables }),
  )
  if (violation !== undefined) {
    throw new StartRefusedError(
      'SCHEMA_DRIFTED',
      `its isolation does not hold: ${violation.rule} at ${violation.object}${mendOf(violation)}`,
    )
  }
}

/** What a grant to all tables at once has broken is mended by its owner in one call. */
function mendOf({ rule, object }: Violation): string {
  return rule === 'reference-writable'
    ? `. As its owner: SELECT public.freehold_share('public.${object}')`
    : ''
}

/** Tenants are made, moved and sealed by the role that owns the tables, and by no other. */
async function assertOperable({ owner, serving }: SchemaPlan): Promise<void> {
  const { rows } = await withClient(owner ?? serving, (client) =>
    client.query<{ owns: boolean }>(
      `SELECT pg_catalog.pg_has_role(session_user, c.relowner, 'USAGE') AS owns
         FROM pg_catalog.pg_class AS c WHERE c.oid = 'public.residence'::pg_catalog.regclass`,
    ),
  )
  if (rows[0]?.owns === true) return
  throw new StartRefusedError(
    'PERMISSION_MISSING',
    owner === null
      ? 'its role does not own the tables: set SHARED_MIGRATION_DATABASE_URL to the role that does'
      : 'the role of SHARED_MIGRATION_DATABASE_URL does not own the tables',
  )
}

async function tellLostPromises({ serving, log }: SchemaPlan): Promise<void> {
  const lost = await withClient(serving, findLostPromises)
  if (lost.length === 0) return
  const { user, database } = serving
  log.warn({ lost, role: user, database }, 'the serving role can get around the seal between tenants')
}

/** Lends a connection for a moment, outside of any pool. */
export async function withClient<T>(
  address: ServerAddress,
  fn: (client: GuardedClient) => Promise<T>,
  limits = LIMITS,
): Promise<T> {
  const client = await connectClient(address, limits)
  try {
    if (address.needsSession === true) await settleSession(client)
    else await greet(client)
    Sessionless.wrap(client, () => connectClient(address, limits))
    return await fn(client)
  } finally {
    void client.end(() => undefined)
  }
}

async function refusing<T>(setting: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof StartRefusedError)
      throw new StartRefusedError(error.code, `${setting}: ${error.message}`)
    if (error instanceof PoolerUnsupportedError)
      throw new StartRefusedError(error.code, `${setting}: ${error.message}`, error)
    const code = errorCode(error)
    if (code === null || !HOPELESS.has(code)) throw error
    const reason =
      databaseError(error) === null ? (error as Error).message : `refused by the server (${code})`
    throw new StartRefusedError(code, `${setting}: ${reason}`, error)
  }
}
