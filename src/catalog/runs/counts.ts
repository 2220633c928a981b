import { eq, sql } from 'drizzle-orm'
import { type CatalogTx, catalogErrors } from '../store.ts'
import type { WaveCounts } from './options.ts'
import { type MemberState, migrationRunDatabases, type migrationRuns } from './schema.ts'

export type RunCounts = Pick<typeof migrationRuns.$inferSelect, 'done' | 'failed' | 'skipped'> & {
  readonly waves: WaveCounts[]
}

/** Counts the databases of a run, in all and by wave. */
export async function countMembers(
  db: CatalogTx,
  { id, waves }: Pick<typeof migrationRuns.$inferSelect, 'id' | 'waves'>,
): Promise<RunCounts> {
  const { wave, state, runId } = migrationRunDatabases
  const columns = { wave, state, count: sql<number>`count(*)::int` }
  const query = db.select(columns).from(migrationRunDatabases).where(eq(runId, id)).groupBy(wave, state)
  const rows = await catalogErrors(query)
  const count = (wanted: MemberState, inWave?: number) =>
    rows
      .filter((row) => row.state === wanted && (inWave === undefined || row.wave === inWave))
      .reduce((sum, row) => sum + row.count, 0)
  return {
    ...{ done: count('succeeded'), failed: count('failed'), skipped: count('skipped') },
    waves: waves.map(({ size }, at) => ({ size, done: count('succeeded', at), failed: count('failed', at) })),
  }
}
