import type pg from 'pg'
import { DATABASE_ERRORS } from '../catalog/databases/entry.ts'
import type { MigrationOutcome } from '../catalog/databases/entry-migrations.ts'
import type { Validation } from '../catalog/databases/validations.ts'
import { MIGRATION, SHARED } from '../catalog/jobs/kinds.ts'
import { endRunIfDone } from '../catalog/jobs/migration-runs.ts'
import { endJob, type Job } from '../catalog/jobs/queue.ts'
import type { CatalogTx } from '../catalog/store.ts'
import { PublicError } from '../errors.ts'
import type { JobHandler, JobOutcome, RunningJob } from '../jobs/runner.ts'
import type { GuardedClient, ServerAddress } from '../lib/postgres/pg.ts'
import { startTimeLimit, type TimeLimit } from '../lib/time-limit.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { isLockWait } from '../migrations/migration-error.ts'
import { NoAdmissionError, withAdminConnection } from '../pools/admin-connection.ts'
import { assertUsable } from '../pools/wire/sessionless.ts'
import { type DeclaredTables, findIsolationViolations } from '../residence/isolation.ts'
import { sealResidents } from '../residence/seal-residents.ts'
import { CHECK_ANSWER_BYTES, checkDatabase, readSchemaVersion } from './checks.ts'
import { CheckFailure, classify, wordsFor } from './failures.ts'
import { putSeal } from './residence.ts'
import { ADMISSION_TIMEOUT_MS } from './tenant-connection.ts'
import type { ValidationDeps } from './validate-database.ts'

export type MigrationJobDeps = Pick<
  ValidationDeps,
  | 'store'
  | 'registry'
  | 'addresses'
  | 'budget'
  | 'shared'
  | 'sealOf'
  | 'migrations'
  | 'tables'
  | 'forbidden'
  | 'log'
> & {
  /** Called after a change of what is to be done next, and of the shared database's schema. */
  readonly wake: () => void
  readonly onShared: () => void
}

const CONCURRENCY = 4
/** A migration may rewrite a large table; a server that says nothing for longer is given up. */
const STATEMENT_TIMEOUT_MS = 3_600_000
/** For all that is looked at before the first migration begins. */
const CHECKS_TIMEOUT_MS = 8_000
const MAX_CONNECT_TIMEOUT_MS = 20_000
const SHARED_CONNECT_TIMEOUT_MS = 5_000
/** A migration waits no longer for each lock: those who come after it would wait behind it. */
const LOCK_TIMEOUT_MS = 2_000
const LOCK_RETRY_MS = 2_000
/** So often a lock is waited for, before the migration counts as failed. */
const MAX_LOCK_WAITS = 10

/** Brings the schemas of databases up to date: of one that is registered, and of those that a run names. */
export function migrationHandler(deps: MigrationJobDeps): JobHandler {
  return {
    ...{ kind: MIGRATION, concurrency: CONCURRENCY, endsWithProcess: true },
    run: (running) => (running.job.subject === SHARED ? migrateShared : migrateEntry)(deps, running),
    cancel: (tx, job) => cancelMigration(deps, tx, job),
  }
}

/** Ends a cancelled migration. A database that cannot serve without it has failed. */
async function cancelMigration({ registry }: MigrationJobDeps, tx: CatalogTx, job: Job): Promise<boolean> {
  if (job.subject !== SHARED) await registry.cancelValidation(tx, job.subject)
  const isEnded = await endJob(tx, job, { status: 'cancelled' })
  if (job.runId !== null) await endRunIfDone(tx, job.runId)
  return isEnded
}

async function migrateEntry(deps: MigrationJobDeps, running: RunningJob): Promise<JobOutcome> {
  const entry = await deps.registry.validationOf(running.job)
  if (entry === null) return { error: { code: 'NOT_FOUND', message: 'The database is no longer registered' } }
  const outcome = await attempt(deps, running, () => applyTo(deps, running, entry))
  if ('retryInMs' in outcome) return outcome
  const isSettled = await deps.registry.finishMigration(entry, outcome)
  deps.wake()
  if (!isSettled) return { settled: null }
  const { tenantId, id: databaseId } = entry
  if (outcome.ok) deps.log.info({ tenantId, databaseId, applied: outcome.applied }, 'database migrated')
  return { settled: outcome.ok ? 'succeeded' : 'failed' }
}

async function migrateShared(deps: MigrationJobDeps, running: RunningJob): Promise<JobOutcome> {
  const { job } = running
  const outcome = await attempt(deps, running, () => applyToShared(deps, running))
  if ('retryInMs' in outcome) return outcome
  const isEnded = await deps.store.transaction(async (tx) => {
    const ended = await endJob(tx, job, endOf(outcome))
    if (job.runId !== null) await endRunIfDone(tx, job.runId)
    return ended
  })
  deps.onShared()
  if (!isEnded) return { settled: null }
  if (outcome.ok) deps.log.info({ tenantId: null, applied: outcome.applied }, 'database migrated')
  return { settled: outcome.ok ? 'succeeded' : 'failed' }
}

function endOf(outcome: MigrationOutcome) {
  if (outcome.ok) {
    const { schemaVersion, applied } = outcome
    return { status: 'succeeded', result: { schemaVersion, applied } } as const
  }
  const { code, words } = outcome
  return { status: 'failed', error: { code, message: words ?? DATABASE_ERRORS[code] } } as const
}

/** What came of the work. Faults of our own side, and locks that others hold for now, are no failures of the migration. */
async function attempt(
  { log }: MigrationJobDeps,
  { job, signal }: RunningJob,
  work: () => Promise<MigrationOutcome>,
): Promise<MigrationOutcome | { retryInMs: number; error: { code: string; message: string } }> {
  try {
    return await work()
  } catch (error) {
    if (signal.aborted || error instanceof PublicError) throw error
    if (error instanceof NoAdmissionError) return again('NO_CONNECTION_AVAILABLE', 0)
    const code = classify(error)
    if (isLockWait(error) && job.attempts < MAX_LOCK_WAITS)
      return { retryInMs: LOCK_RETRY_MS, error: { code, message: DATABASE_ERRORS[code] } }
    log.warn({ tenantId: job.tenantId, jobId: job.id, code, err: error }, 'database not migrated')
    return { ok: false, code, words: wordsFor(error) }
  }
}

function again(code: 'NO_CONNECTION_AVAILABLE', retryInMs: number) {
  return { retryInMs, error: { code, message: new PublicError(code).message } }
}

async function applyTo(
  deps: MigrationJobDeps,
  { signal, note }: RunningJob,
  entry: Validation,
): Promise<MigrationOutcome> {
  const connectTimeoutMs = Math.min(entry.connectionTimeoutSeconds * 1_000, MAX_CONNECT_TIMEOUT_MS)
  const wasValid = entry.status === 'active' || entry.status === 'inactive'
  const address = wasValid ? deps.addresses.validatedAddressOf(entry) : deps.addresses.addressOf(entry)
  return lend(deps, { address, connectTimeoutMs, signal }, async (client, begun) => {
    await assertUsable(client)
    const checked = await checkDatabase(client, {
      ...{ tenantId: entry.tenantId, migrations: deps.migrations(), tables: deps.tables },
      ...{ forbidden: deps.forbidden, wasValid },
      apply: applying(deps, note, begun),
    })
    const { schemaVersion, residence } = checked
    // The migration that brings seals has no keys.
    if (wasValid && residence !== null) {
      const home = { tenantId: entry.tenantId, epoch: residence.epoch, placement: 'dedicated' as const }
      await putSeal(client, { ...home, seal: deps.sealOf(home) })
    }
    return { ok: true, schemaVersion, applied: begun.applied }
  })
}

async function applyToShared(
  deps: MigrationJobDeps,
  { signal, note }: RunningJob,
): Promise<MigrationOutcome> {
  const target = { address: deps.shared, connectTimeoutMs: SHARED_CONNECT_TIMEOUT_MS, signal }
  return lend(deps, target, async (client, begun) => {
    const migrations = deps.migrations()
    await applyMigrations(client, migrations, applying(deps, note, begun))
    await sealResidents(client, deps.sealOf)
    await assertIsolated(client, deps.tables)
    return { ok: true, schemaVersion: await readSchemaVersion(client, migrations), applied: begun.applied }
  })
}

async function assertIsolated(client: pg.ClientBase, tables: DeclaredTables): Promise<void> {
  const [violation] = await findIsolationViolations(client, { everything: true, tables })
  if (violation !== undefined) throw new CheckFailure('SCHEMA_DRIFTED', new Error(JSON.stringify(violation)))
}

/** What has been done on a connection. From the first migration on nothing but its own limits ends it. */
interface Begun {
  readonly applied: string[]
  clearPatience(): void
}

function applying({ log }: MigrationJobDeps, note: RunningJob['note'], begun: Begun) {
  return {
    lockTimeoutMs: LOCK_TIMEOUT_MS,
    log: {
      info: (fields: { migration?: string }, message: string) => {
        if (fields.migration !== undefined) begun.applied.push(fields.migration)
        log.info(fields, message)
      },
    },
    onProgress: async (progress: { done: number; total: number }) => {
      begun.clearPatience()
      await note({ step: 'applying', progress })
    },
  }
}

async function lend<T>(
  { budget }: MigrationJobDeps,
  {
    address,
    connectTimeoutMs,
    signal,
  }: { address: ServerAddress; connectTimeoutMs: number; signal: AbortSignal },
  fn: (client: GuardedClient, begun: Begun) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController()
  let patience: TimeLimit | undefined
  const limits = {
    connectTimeoutMs,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    maxAnswerBytes: CHECK_ANSWER_BYTES,
  }
  const options = {
    ...{ budget, limits, admissionTimeoutMs: ADMISSION_TIMEOUT_MS },
    signal: AbortSignal.any([deadline.signal, signal]),
  }
  try {
    return await withAdminConnection(address, options, (client) => {
      patience = startTimeLimit(() => deadline.abort(), CHECKS_TIMEOUT_MS)
      return fn(client, { applied: [], clearPatience: () => patience?.clear() })
    })
  } catch (error) {
    throw deadline.signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
  } finally {
    patience?.clear()
  }
}
