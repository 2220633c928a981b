import { LIVE_MS } from '../../catalog/changes/live-replicas.ts'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { connectClient, type PhysicalIdentity } from '../../lib/postgres/pg.ts'
import { schemaState } from '../../migrations/drift.ts'
import type { Migration } from '../../migrations/files.ts'
import { assertWholeSessions } from '../../pools/pool-mode.ts'
import { addressesOf, prepareSchema, type SchemaPlan, START_LIMITS, withClient } from './prepare-schema.ts'
import { refusing } from './start-refusals.ts'

/** The schema lacks migrations, and the settings forbid this process to apply them. Waiting helps, because another process may do it. */
export class SchemaOutdatedError extends Error {
  readonly code = 'SCHEMA_OUT_OF_DATE'
}

/** Replicas of an older release are running. Waiting helps: the start continues when the last of them has stopped. */
export class FormerReplicasError extends Error {
  readonly code = 'FORMER_REPLICAS'

  constructor(live: number) {
    super(
      `${live} replicas of an older release are running: stop them all, because this release cannot run at the same time`,
    )
  }
}

/**
 * Brings the catalog's schema up to date and returns the identity of the database.
 * @throws StartRefusedError, SchemaOutdatedError, FormerReplicasError
 */
export function prepareCatalog(plan: SchemaPlan): Promise<PhysicalIdentity> {
  return refusing('CATALOG_DATABASE_URL', async () => {
    for (const address of addressesOf(plan))
      await assertWholeSessions(() => connectClient(address, START_LIMITS))
    await withClient(plan.serving, (client) => assertFormerStopped(client, plan.migrations))
    const { identity, missing } = await prepareSchema(plan)
    if (missing > 0) throw new SchemaOutdatedError(`${missing} migrations are not applied`)
    return identity
  })
}

/**
 * Replicas of the release before lineages do not understand the journals and policies of this release. None may run when the first
 * replica of this release converts them.
 * @throws FormerReplicasError while one of them is alive
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
