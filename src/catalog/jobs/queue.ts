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

/** One claim on a job. Whatever is written under it counts only while no later claim was made and the job runs. */
export type JobRef = Pick<Job, 'id' | 'attempts'>

export interface NewJob {
  readonly kind: string
  /** What it works on: of one kind and subject at most one job is queued or running. */
  readonly subject: string
  readonly id?: string
  readonly tenantId?: string | null
  readonly serverId?: string | null
  readonly runId?: string | null
  readonly payload?: Record<string, unknown>
  /** Made by `sealJobSecret` for this id and tenant. */
  readonly sealedPayload?: Buffer
  /** What a replica must know to claim it. */
  readonly needs?: readonly string[]
  /** How long to wait before the first claim. */
  readonly dueInMs?: number
}

export interface JobClaimRequest {
  readonly kind: string
  /** What this replica knows: a job that needs more is left alone, unless it is only to be cancelled. */
  readonly knows: readonly string[]
  readonly replicaId: string
  readonly limit: number
  /** A minute at most. The catalog's clock counts. */
  readonly leaseMs: number
}

/** Why a job failed, or what held up its last attempt. Never a server's own words. */
export interface JobError {
  readonly code: string
  readonly message: string
}

export type JobEnd =
  | { readonly status: 'succeeded'; readonly result?: Record<string, unknown> | null }
  | { readonly status: 'failed'; readonly error: JobError; readonly result?: Record<string, unknown> | null }
  | { readonly status: 'cancelled' }

/** How far a job has come; `result` is what it has so far. */
export interface JobNote {
  readonly step?: string
  readonly progress?: Progress
  readonly result?: Record<string, unknown>
}

export interface Progress {
  readonly done: number
  readonly total: number
}

/** A statement has room for 65,535 parameters. */
const AT_ONCE = 1_000
const LONGEST_LEASE_MS = 60_000
const LONGEST_PAUSE_MS = 3_600_000
const { sealedPayload: _sealed, ...columns } = getTableColumns(jobs)

/** The columns of a job: all but the sealed part of the payload. */
export const jobColumns = columns

/** Queues a job in the transaction of the change that asks for it. Null where one of its kind and subject is unfinished. */
export async function queueJob(tx: CatalogTx, job: NewJob): Promise<Job | null> {
  const { id = newId(), dueInMs = 0, needs = [], payload = {}, ...rest } = job
  const values = { ...rest, id, payload, needs: [...needs], dueAt: fromNow(dueInMs) }
  const [row] = await tx.insert(jobs).values(values).onConflictDoNothing().returning(jobColumns)
  return row ?? null
}

/** Queues many jobs of one kind. Answers how many of them there were: those of subjects with an unfinished one are left out. */
export async function queueJobs(tx: CatalogTx, many: readonly Omit<NewJob, 'dueInMs'>[]): Promise<number> {
  let queued = 0
  for (let at = 0; at < many.length; at += AT_ONCE) {
    const values = many
      .slice(at, at + AT_ONCE)
      .map(({ id = newId(), needs = [], ...rest }) => ({ ...rest, id, needs: [...needs] }))
    const rows = await tx.insert(jobs).values(values).onConflictDoNothing().returning({ id: jobs.id })
    queued += rows.length
  }
  return queued
}

/** As `queueJob`, in the place of an unfinished one, whose results do not count from here on. */
export async function replaceJob(tx: CatalogTx, job: NewJob): Promise<Job> {
  await dropJobs(tx, [job.subject], job.kind)
  const queued = await queueJob(tx, job)
  if (queued === null) throw new Error('the job was not queued')
  return queued
}

/** Ends the unfinished jobs of these subjects as cancelled, at once: what they worked on is gone or was replaced. */
export async function dropJobs(tx: CatalogTx, subjects: readonly string[], kind?: string): Promise<void> {
  const unfinished = and(
    isNull(jobs.finishedAt),
    inArray(jobs.subject, [...subjects]),
    kind === undefined ? undefined : eq(jobs.kind, kind),
  )
  await tx.update(jobs).set(ended('cancelled')).where(unfinished)
}

/**
 * Claims jobs of a kind that are due, the longest due first: queued ones, and running ones whose lease is over. Two
 * replicas never get the same, and each claim has a higher number than the one before.
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
  // A CTE that locks is run once; as a subselect it could be run again, and claim more than was asked for.
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

/** A claim that still stands, and whether the job is to be cancelled. */
export type HeldJob = Pick<Job, 'id' | 'attempts' | 'cancelRequested'>

/** Renews the leases of those claims that still stand, and answers these. */
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

/** Writes down how far a job has come. False when the claim no longer stands. */
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

/** Whether a claim still stands; until the transaction ends no other replica takes the job over. */
export async function holdJob(tx: CatalogTx, claim: JobRef): Promise<boolean> {
  const rows = await tx.select({ id: jobs.id }).from(jobs).where(isHeld(claim)).for('update')
  return rows.length > 0
}

/** Ends a job. False, with nothing written, when the claim no longer stands. */
export async function endJob(tx: CatalogDb | CatalogTx, claim: JobRef, end: JobEnd): Promise<boolean> {
  const error = end.status === 'failed' ? end.error : null
  const set = {
    ...ended(end.status),
    ...(end.status === 'cancelled' ? {} : { result: end.result ?? null, ...errorColumns(error) }),
  }
  const query = tx.update(jobs).set(set).where(isHeld(claim)).returning({ id: jobs.id })
  return (await catalogErrors(query)).length > 0
}

/** Gives a claim back, to be made again after a pause by any replica. False when it no longer stands. */
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

/** The subjects of a kind's unfinished jobs, with the jobs' ids. */
export async function unfinishedSubjects(db: CatalogDb, kind: string): Promise<Map<string, string>> {
  const { subject, id } = jobs
  const unfinished = and(eq(jobs.kind, kind), isNull(jobs.finishedAt))
  const rows = await catalogErrors(db.select({ subject, id }).from(jobs).where(unfinished))
  return new Map(rows.map((row) => [row.subject, row.id]))
}

/** Makes a job due now that waits for its time. */
export async function hastenJob(db: CatalogDb, job: Pick<Job, 'kind' | 'subject'>): Promise<void> {
  const { kind, subject, status } = jobs
  const waits = and(eq(kind, job.kind), eq(subject, job.subject), eq(status, 'queued'))
  await catalogErrors(db.update(jobs).set({ dueAt: sql`now()` }).where(waits))
}

/** Seals the secret part of a job's payload, for a job of this id and tenant only. */
export function sealJobSecret(key: DataKey, job: Pick<Job, 'id' | 'tenantId'>, secret: Secret): Buffer {
  return key.seal('job-payload', secret.reveal(), bindingOf(job))
}

/** Opens what `sealJobSecret` made; null where the job has no secret, or had one and has ended. */
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
