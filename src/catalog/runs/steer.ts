import { and, eq, isNull, ne } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { type Actor, recordAudit } from '../audit/entries.ts'
import type { CatalogStore, CatalogTx } from '../store.ts'
import { advance, countFailed, lockRun, type RunRow } from './advance.ts'
import { migrationRunDatabases, migrationRuns } from './schema.ts'

/** What an operator can do with a run. */
export const RUN_VERBS = ['pause', 'resume', 'cancel', 'retry'] as const
export type RunVerb = (typeof RUN_VERBS)[number]

/** @throws PublicError NOT_FOUND, WRONG_STATE, RUN_IN_PROGRESS if another run is unfinished */
export function steerRun(
  store: CatalogStore,
  { id, verb, actor }: { id: string; verb: RunVerb; actor: Actor },
): Promise<void> {
  return store.transaction(async (tx) => {
    const run = await lockRun(tx, id)
    if (run === null) throw fail('NOT_FOUND')
    const { action, apply } = CHANGES[verb]
    const changed = await apply(tx, run)
    await recordAudit(tx, { actor, action, tenantId: null, after: { runId: id } })
    await advance(tx, changed)
  })
}

interface Change {
  readonly action: string
  readonly apply: (tx: CatalogTx, run: RunRow) => Promise<RunRow>
}

const CHANGES: Record<RunVerb, Change> = {
  pause: { action: 'migration.pause', apply: pause },
  resume: { action: 'migration.resume', apply: resume },
  cancel: { action: 'migration.cancel', apply: cancel },
  retry: { action: 'migration.retry', apply: retry },
}

async function pause(tx: CatalogTx, run: RunRow): Promise<RunRow> {
  if (run.status !== 'running' || run.mode === 'cancelling')
    throw wrong('Only a run that is running can be paused.')
  return change(tx, run, { mode: 'pausing' })
}

async function resume(tx: CatalogTx, run: RunRow): Promise<RunRow> {
  const isStopping = run.status === 'running' && (run.mode === 'pausing' || run.mode === 'halting')
  if (!isStopping && run.status !== 'paused' && run.status !== 'halted')
    throw wrong('Only a run that is paused or halted can be resumed.')
  return change(tx, run, { status: 'running', mode: 'all', forgiven: await countFailed(tx, run.id) })
}

async function cancel(tx: CatalogTx, run: RunRow): Promise<RunRow> {
  if (run.finishedAt !== null) throw wrong('The run has finished.')
  return change(tx, run, { status: 'running', mode: 'cancelling' })
}

async function retry(tx: CatalogTx, run: RunRow): Promise<RunRow> {
  if (run.status !== 'paused' && run.status !== 'halted' && run.status !== 'failed')
    throw wrong('Only a run that is paused, halted or failed can be retried.')
  await assertNoOther(tx, run)
  const failed = and(eq(migrationRunDatabases.runId, run.id), eq(migrationRunDatabases.state, 'failed'))
  const again = await tx
    .update(migrationRunDatabases)
    .set({ state: 'retrying' })
    .where(failed)
    .returning({ id: migrationRunDatabases.id })
  if (again.length === 0) throw wrong('No database of this run has failed.')
  return change(tx, run, { status: 'running', mode: 'failed-only', forgiven: 0, finishedAt: null })
}

/** A run that has failed becomes unfinished again, and only one run may be. */
async function assertNoOther(tx: CatalogTx, { id }: RunRow): Promise<void> {
  const other = and(isNull(migrationRuns.finishedAt), ne(migrationRuns.id, id))
  if ((await tx.$count(migrationRuns, other)) > 0) throw fail('RUN_IN_PROGRESS')
}

async function change(tx: CatalogTx, run: RunRow, set: Partial<RunRow>): Promise<RunRow> {
  const [changed] = await tx.update(migrationRuns).set(set).where(eq(migrationRuns.id, run.id)).returning()
  if (changed === undefined) throw new Error('the run is gone')
  return changed
}

function wrong(detail: string) {
  return fail('WRONG_STATE', { detail })
}
