import { and, eq, inArray, notInArray, sql } from 'drizzle-orm'
import { MIGRATION, SHARED } from '../jobs/kinds.ts'
import { queueJob } from '../jobs/queue.ts'
import { tenantDatabases, tenants } from '../schema.ts'
import type { CatalogTx } from '../store.ts'
import { type MemberState, migrationRunDatabases, type migrationRuns } from './schema.ts'
import { type SkipCode, skipped } from './skips.ts'

type Run = typeof migrationRuns.$inferSelect

const members = migrationRunDatabases

/**
 * Queues jobs for the next databases of the current wave, within the limits of the run. Only an unfinished job counts against the
 * limits, so they hold for all replicas together. A wave begins when every database of the one before it has ended.
 */
export async function dispatch(tx: CatalogTx, run: Run): Promise<{ queued: number; wave: number }> {
  const { concurrency, perServer } = run.options
  const busy = await busyServers(tx, run.id)
  const isFull = (server: string) => (busy.get(server) ?? 0) >= perServer
  const passed: string[] = []
  let slots = concurrency - [...busy.values()].reduce((sum, count) => sum + count, 0)
  let { wave } = run
  let queued = 0
  while (slots > 0) {
    const current = await currentWave(tx, run)
    if (current === null) break
    wave = current
    const full = [...busy.keys()].filter(isFull)
    const next = await nextOf(tx, run, { wave, full, passed, limit: slots })
    if (next.length === 0) break
    for (const member of next) {
      const reason = reasonToSkip(member)
      if (reason !== null) await tx.update(members).set(skipped(reason)).where(eq(members.id, member.id))
      else if (isFull(member.server)) continue
      else if (await queueFor(tx, run, member)) {
        busy.set(member.server, (busy.get(member.server) ?? 0) + 1)
        queued += 1
        slots -= 1
      } else passed.push(member.id)
    }
  }
  return { queued, wave }
}

async function busyServers(tx: CatalogTx, runId: string): Promise<Map<string, number>> {
  const running = and(eq(members.runId, runId), eq(members.state, 'running'))
  const columns = { server: members.server, count: sql<number>`count(*)::int` }
  const rows = await tx.select(columns).from(members).where(running).groupBy(members.server)
  return new Map(rows.map(({ server, count }) => [server, count]))
}

function wantedStates({ mode }: Run): MemberState[] {
  return mode === 'failed-only' ? ['retrying'] : ['waiting', 'retrying']
}

/** The first wave that has not ended. Null if nothing is left to take. */
async function currentWave(tx: CatalogTx, run: Run): Promise<number | null> {
  const open = and(eq(members.runId, run.id), inArray(members.state, ['running', ...wantedStates(run)]))
  const [row] = await tx
    .select({ wave: sql<number | null>`min(${members.wave})` })
    .from(members)
    .where(open)
  return row?.wave ?? null
}

interface Choice {
  readonly wave: number
  readonly full: readonly string[]
  readonly passed: readonly string[]
  readonly limit: number
}

async function nextOf(tx: CatalogTx, run: Run, { wave, full, passed, limit }: Choice) {
  const wanted = and(
    eq(members.runId, run.id),
    inArray(members.state, wantedStates(run)),
    eq(members.wave, wave),
    full.length === 0 ? undefined : notInArray(members.server, [...full]),
    passed.length === 0 ? undefined : notInArray(members.id, [...passed]),
  )
  const { id, server, databaseId, tenantId } = members
  const { slot, status } = tenantDatabases
  return tx
    .select({ id, server, databaseId, tenantId, slot, status, tenantStatus: tenants.status })
    .from(members)
    .leftJoin(tenantDatabases, eq(tenantDatabases.id, databaseId))
    .leftJoin(tenants, eq(tenants.id, tenantId))
    .where(wanted)
    .orderBy(id)
    .limit(limit)
}

type Next = Awaited<ReturnType<typeof nextOf>>[number]

function reasonToSkip({ databaseId, slot, status, tenantStatus }: Next): SkipCode | null {
  if (databaseId === null) return null
  if (status === null || tenantStatus === null) return 'DATABASE_REMOVED'
  if (tenantStatus !== 'ACTIVE') return 'TENANT_SUSPENDED'
  const isServing = slot === 'current' && (status === 'active' || status === 'inactive')
  return isServing ? null : 'DATABASE_NOT_SERVING'
}

/** False if another migration of this database is unfinished. Then the run takes it later. */
async function queueFor(tx: CatalogTx, run: Run, { id, databaseId, tenantId }: Next): Promise<boolean> {
  const { needs, options } = run
  const job = await queueJob(tx, {
    ...{ kind: MIGRATION, subject: databaseId ?? SHARED, tenantId, runId: run.id, needs },
    payload: { lockTimeoutMs: options.lockTimeoutMs },
  })
  if (job === null) return false
  const begun = {
    state: 'running' as const,
    jobId: job.id,
    errorCode: null,
    errorMessage: null,
    finishedAt: null,
  }
  await tx.update(members).set(begun).where(eq(members.id, id))
  return true
}
