import { and, asc, eq, getTableColumns, inArray, isNull, lt, lte, or, type SQL, sql } from 'drizzle-orm'
import type { Binding } from '../../crypto/envelope.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { newId } from '../../lib/ids.ts'
import { Secret } from '../../lib/secret.ts'
import { fromNow, isTooFarAhead } from '../moments.ts'
import { type CatalogDb, type CatalogTx, catalogErrors } from '../store.ts'
import { type JobStatus, jobs } from './schema.ts'

/** A job without the secret part of its payload. */
export type Job = Omit<typeof jobs.$inferSelect, 'sealedPayload'>

/** One claim on a job. Writes under it count only while the job runs and nothing has claimed it again. */
export type JobRef = Pick<Job, 'id' | 'attempts'>

export interface NewJob {
  readonly kind: string
  /** What the job works on. For one kind and subject at most one job is queued or running. */
  readonly subject: string
  readonly id?: string
  readonly tenantId?: string | null
  readonly serverId?: string | null
  readonly runId?: string | null
  readonly payload?: Record<string, unknown>
  /** Made by `sealJobSecret` for this id and tenant. */
  readonly sealedPayload?: Buffer
  /** A replica can claim the job only if it knows all of these. */
  readonly needs?: readonly string[]
  /** How long to wait before the first claim. */
  readonly dueInMs?: number
}

export interface JobClaimRequest {
  readonly kind: string
  /** What this replica knows. If a job needs more, this replica claims it only to cancel it. */
  readonly knows: readonly string[]
  readonly replicaId: string
  readonly limit: number
  /** How long the claim lasts, by the catalog's clock; at most a minute. */
  readonly leaseMs: number
}

/** Why a job failed, or why its last attempt did. Never contains a server's own text. */
export interface JobError {
  readonly code: string
  readonly message: string
}

export type JobEnd =
  | { readonly status: 'succeeded'; readonly result?: Record<string, unknown> | null }
  | { readonly status: 'failed'; readonly error: JobError; readonly result?: Record<string, unknown> | null }
  | { readonly status: 'cancelled' }

/** The progress of a job. `result` is its result so far. */
export interface JobNote {
  readonly step?: string
  readonly progress?: Progress
  readonly result?: Record<string, unknown>
}

export interface Progress {
  readonly done: number
  readonly total: number
}

const LONGEST_LEASE_MS = 60_000
const LONGEST_PAUSE_MS = 3_600_000
const { sealedPayload: _sealed, ...columns } = getTableColumns(jobs)

/** The columns of a job, except the sealed part of the payload. */
export const jobColumns = columns

/** Queues a job in the transaction of the change that needs it. Null if a job of this kind and subject is unfinished. */
export async function queueJob(tx: CatalogTx, job: NewJob): Promise<Job | null> {
  const { id = newId(), dueInMs = 0, needs = [], payload = {}, ...rest } = job
  const values = { ...rest, id, payload, needs: [...needs], dueAt: fromNow(dueInMs) }
  const [row] = await tx.insert(jobs).values(values).onConflictDoNothing().returning(jobColumns)
  return row ?? null
}

/** As `queueJob`, but cancels an unfinished job of this kind and subject first. Results of that job no longer count. */
export async function replaceJob(tx: CatalogTx, job: NewJob): Promise<Job> {
  await dropJobs(tx, [job.subject], job.kind)
  const queued = await queueJob(tx, job)
  if (queued === null) throw new Error('the job was not queued')
  return queued
}

/** Cancels the unfinished jobs of these subjects at once. Call it if the subjects were removed or replaced. */
export async function dropJobs(tx: CatalogTx, subjects: readonly string[], kind?: string): Promise<void> {
  const unfinished = and(
    isNull(jobs.finishedAt),
    inArray(jobs.subject, [...subjects]),
    kind === undefined ? undefined : eq(jobs.kind, kind),
  )
  await tx.update(jobs).set(ended('cancelled')).where(unfinished)
}

/**
 * Claims due jobs of a kind: queued ones, and running ones whose lease is over. The job that has been due longest comes first. Two
 * replicas never get the same claim. Each claim on a job has a higher number than the one before.
 */
export function claimJobs(db: CatalogDb, request: JobClaimRequest): Promise<Job[]> {
  const { kind, knows, replicaId, limit, leaseMs } = request
  const isDue = and(
    eq(jobs.status, 'queued'),
    or(lte(jobs.dueAt, sql`now()`), isTooFarAhead(jobs.dueAt, LONGEST_PAUSE_MS)),
  )
  const isLeft = and(
    eq(jobs.status, 'running'),
    or(lt(jobs.leasedUntil, sql`now()`), isTooFarAhead(jobs.leasedUntil, LONGEST_LEASE_MS)),
  )
  const known = or(jobs.cancelRequested, sql`${jobs.needs} <@ ${sql.param([...knows])}::text[]`)
  // A CTE that locks runs once. A subselect could run again, and claim more jobs than were asked for.
  const free = db.$with('due').as(
    db
      .select({ id: jobs.id })
      .from(jobs)
      .where(and(eq(jobs.kind, kind), isNull(jobs.finishedAt), or(isDue, isLeft), known))
      .orderBy(asc(jobs.dueAt), asc(jobs.id))
      .limit(limit)
      .for('update', { skipLocked: true }),
  )
  const claimed = db
    .with(free)
    .update(jobs)
    .set({
      ...{
        status: 'running',
        attempts: sql`${jobs.attempts} + 1`,
        startedAt: sql`coalesce(started_at, now())`,
      },
      ...{ leasedBy: replicaId, leasedUntil: fromNow(leaseMs) },
    })
    .where(inArray(jobs.id, db.select({ id: free.id }).from(free)))
    .returning(jobColumns)
  return catalogErrors(claimed)
}

/** A claim that is still valid, and whether the job must be cancelled. */
export type HeldJob = Pick<Job, 'id' | 'attempts' | 'cancelRequested'>

/** Renews the leases of the claims that are still valid, and returns these claims. */
export async function renewJobs(
  db: CatalogDb,
  claims: readonly JobRef[],
  leaseMs: number,
): Promise<HeldJob[]> {
  if (claims.length === 0) return []
  const { id, attempts, cancelRequested } = jobs
  const held = or(...claims.map((claim) => isHeld(claim)))
  const renewed = db
    .update(jobs)
    .set({ leasedUntil: fromNow(leaseMs) })
    .where(held)
  return catalogErrors(renewed.returning({ id, attempts, cancelRequested }))
}

/** Stores the progress of a job. False if the claim is no longer valid. */
export async function noteJob(
  db: CatalogDb | CatalogTx,
  claim: JobRef,
  { step, progress, result }: JobNote,
): Promise<boolean> {
  const set = {
    ...(step !== undefined && { step }),
    ...(progress !== undefined && { progressDone: progress.done, progressTotal: progress.total }),
    ...(result !== undefined && { result }),
  }
  const query = db.update(jobs).set(set).where(isHeld(claim)).returning({ id: jobs.id })
  return (await catalogErrors(query)).length > 0
}

/** True if a claim is still valid. Then no other replica can claim the job before the transaction ends. */
export async function holdJob(tx: CatalogTx, claim: JobRef): Promise<boolean> {
  const rows = await tx.select({ id: jobs.id }).from(jobs).where(isHeld(claim)).for('update')
  return rows.length > 0
}

/** Ends a job. Writes nothing and returns false if the claim is no longer valid. */
export async function endJob(tx: CatalogDb | CatalogTx, claim: JobRef, end: JobEnd): Promise<boolean> {
  const error = end.status === 'failed' ? end.error : null
  const set = {
    ...ended(end.status),
    ...(end.status === 'cancelled' ? {} : { result: end.result ?? null, ...errorColumns(error) }),
  }
  const query = tx.update(jobs).set(set).where(isHeld(claim)).returning({ id: jobs.id })
  return (await catalogErrors(query)).length > 0
}

/** Queues a claimed job again; any replica may claim it after `dueInMs`. False if the claim is no longer valid. */
export async function giveJobBack(
  db: CatalogDb,
  claim: JobRef,
  { dueInMs, error = null }: { dueInMs: number; error?: JobError | null },
): Promise<boolean> {
  const set = {
    ...{ status: 'queued' as const, dueAt: fromNow(Math.min(dueInMs, LONGEST_PAUSE_MS)) },
    ...{ leasedBy: null, leasedUntil: null, ...errorColumns(error) },
  }
  const query = db.update(jobs).set(set).where(isHeld(claim)).returning({ id: jobs.id })
  return (await catalogErrors(query)).length > 0
}

/** The ids of the unfinished jobs of a kind, by subject. */
export async function unfinishedSubjects(db: CatalogDb, kind: string): Promise<Map<string, string>> {
  const { subject, id } = jobs
  const unfinished = and(eq(jobs.kind, kind), isNull(jobs.finishedAt))
  const rows = await catalogErrors(db.select({ subject, id }).from(jobs).where(unfinished))
  return new Map(rows.map((row) => [row.subject, row.id]))
}

/** Makes a queued job due now. */
export async function hastenJob(db: CatalogDb, job: Pick<Job, 'kind' | 'subject'>): Promise<void> {
  const { kind, subject, status } = jobs
  const waits = and(eq(kind, job.kind), eq(subject, job.subject), eq(status, 'queued'))
  await catalogErrors(db.update(jobs).set({ dueAt: sql`now()` }).where(waits))
}

/** Seals the secret part of a job's payload, for a job of this id and tenant only. */
export function sealJobSecret(key: DataKey, job: Pick<Job, 'id' | 'tenantId'>, secret: Secret): Buffer {
  return key.seal('job-payload', secret.reveal(), bindingOf(job))
}

/** Opens a secret that `sealJobSecret` sealed. Null if the job has no secret, or has ended. */
export async function openJobSecret(
  db: CatalogDb,
  key: DataKey,
  job: Pick<Job, 'id' | 'tenantId'>,
): Promise<Secret | null> {
  const query = db.select({ sealed: jobs.sealedPayload }).from(jobs).where(eq(jobs.id, job.id))
  const [row] = await catalogErrors(query)
  if (row?.sealed == null) return null
  const opened = key.open('job-payload', row.sealed, bindingOf(job))
  try {
    return new Secret(opened.toString('utf8'))
  } finally {
    opened.fill(0)
  }
}

function bindingOf({ id, tenantId }: Pick<Job, 'id' | 'tenantId'>): Binding {
  return { table: 'jobs', column: 'sealed_payload', tenantId, rowId: id, rowVersion: 1 }
}

function isHeld({ id, attempts }: JobRef): SQL | undefined {
  return and(eq(jobs.id, id), eq(jobs.attempts, attempts), eq(jobs.status, 'running'))
}

function ended(status: JobStatus) {
  return { status, finishedAt: sql`now()`, leasedBy: null, leasedUntil: null, sealedPayload: null }
}

function errorColumns(error: JobError | null) {
  return {
    errorCode: error?.code ?? null,
    errorMessage: error?.message ?? null,
    errorAt: error === null ? null : sql`now()`,
  }
}
