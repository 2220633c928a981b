import type pg from 'pg'
import { DATABASE_ERRORS } from '../catalog/databases/entry.ts'
import type { MigrationOutcome } from '../catalog/databases/entry-migrations.ts'
import type { Validation } from '../catalog/databases/validations.ts'
import { MIGRATION, SHARED } from '../catalog/jobs/kinds.ts'
import { endJob, type Job } from '../catalog/jobs/queue.ts'
import type { CatalogTx } from '../catalog/store.ts'
import { PublicError } from '../errors.ts'
import type { JobHandler, JobOutcome, RunningJob } from '../jobs/runner.ts'
import type { GuardedClient } from '../lib/postgres/guarded-client.ts'
import { applyMigrations } from '../migrations/apply.ts'
import { isLockWait } from '../migrations/migration-error.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import { assertUsable } from '../pools/wire/sessionless.ts'
import { type DeclaredTables, findIsolationViolations } from '../residence/isolation.ts'
import { sealResidents } from '../residence/seal-residents.ts'
import { type CheckConnection, withCheckConnection } from './check-connection.ts'
import { checkDatabase, readSchemaVersion } from './checks.ts'
import { CheckFailure, classify, wordsFor } from './failures.ts'
import { putSeal } from './residence.ts'
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
  /** Lets the next job start now, before the next poll. */
  readonly wake: () => void
  /** Called when the schema of the shared database may have changed. */
  readonly onShared: () => void
}

/** A run of migrations takes eight databases at a time unless it is told otherwise, and one replica can do all its work. */
const CONCURRENCY = 8
/** A migration may rewrite a large table. After this time the server counts as lost. */
const STATEMENT_TIMEOUT_MS = 3_600_000
/** Time limit for all checks before the first migration. */
const CHECKS_TIMEOUT_MS = 8_000
const MAX_CONNECT_TIMEOUT_MS = 20_000
const SHARED_CONNECT_TIMEOUT_MS = 5_000
/** How long a migration waits for a lock. Meanwhile other statements wait behind it. A run may set another time. */
const LOCK_TIMEOUT_MS = 2_000
/** The shortest pause before another attempt; the longest is three times as long. */
const LEAST_LOCK_RETRY_MS = 1_000
/** A migration fails after this many attempts to get a lock. */
const MAX_LOCK_WAITS = 10

/** Applies missing migrations to one database: to a new one, or as part of a run. */
export function migrationHandler(deps: MigrationJobDeps): JobHandler {
  return {
    ...{ kind: MIGRATION, concurrency: CONCURRENCY, endsWithProcess: true },
    run: (running) => (running.job.subject === SHARED ? migrateShared : migrateEntry)(deps, running),
    cancel: (tx, job) => cancelMigration(deps, tx, job),
  }
}

/** Ends a cancelled migration. A database that cannot serve without the migration becomes `failed`. */
async function cancelMigration({ registry }: MigrationJobDeps, tx: CatalogTx, job: Job): Promise<boolean> {
  if (job.subject !== SHARED) await registry.cancelValidation(tx, job.subject)
  return endJob(tx, job, { status: 'cancelled' })
}

async function migrateEntry(deps: MigrationJobDeps, running: RunningJob): Promise<JobOutcome> {
  const entry = await deps.registry.validationOf(running.job)
  if (entry === null) return { error: { code: 'NOT_FOUND', message: 'The database is no longer registered' } }
  const outcome = await outcomeOf(deps, running, () => applyTo(deps, running, entry))
  if ('retryInMs' in outcome) return outcome
  const isEnded = await deps.registry.finishMigration(entry, outcome)
  deps.wake()
  if (!isEnded) return { ended: null }
  const { tenantId, id: databaseId } = entry
  if (outcome.ok) deps.log.info({ tenantId, databaseId, applied: outcome.applied }, 'database migrated')
  return { ended: outcome.ok ? 'succeeded' : 'failed' }
}

async function migrateShared(deps: MigrationJobDeps, running: RunningJob): Promise<JobOutcome> {
  const { job } = running
  const outcome = await outcomeOf(deps, running, () => applyToShared(deps, running))
  if ('retryInMs' in outcome) return outcome
  const isEnded = await endJob(deps.store.db, job, endOf(outcome))
  deps.onShared()
  if (!isEnded) return { ended: null }
  if (outcome.ok) deps.log.info({ tenantId: null, applied: outcome.applied }, 'database migrated')
  return { ended: outcome.ok ? 'succeeded' : 'failed' }
}

function endOf(outcome: MigrationOutcome) {
  if (outcome.ok) {
    const { schemaVersion, applied } = outcome
    return { status: 'succeeded', result: { schemaVersion, applied } } as const
  }
  const { code, words } = outcome
  return { status: 'failed', error: { code, message: words ?? DATABASE_ERRORS[code] } } as const
}

/** The outcome of the work. Faults of the gateway or the catalog, and locks of other transactions, do not make the migration fail. */
async function outcomeOf(
  { log }: MigrationJobDeps,
  { job, signal }: RunningJob,
  work: () => Promise<MigrationOutcome>,
): Promise<MigrationOutcome | { retryInMs: number; error: { code: string; message: string } }> {
  try {
    return await work()
  } catch (error) {
    if (signal.aborted || error instanceof PublicError) throw error
    if (error instanceof NoAdmissionError) return retryAfter('NO_CONNECTION_AVAILABLE', 0)
    const code = classify(error)
    if (isLockWait(error) && job.attempts < MAX_LOCK_WAITS)
      return { retryInMs: lockRetryMs(), error: { code, message: DATABASE_ERRORS[code] } }
    log.warn({ tenantId: job.tenantId, jobId: job.id, code, err: error }, 'database not migrated')
    return { ok: false, code, words: wordsFor(error) }
  }
}

/** Between one and three seconds. Databases that waited for the same long transaction do not come back together. */
function lockRetryMs(): number {
  return Math.round(LEAST_LOCK_RETRY_MS * (1 + 2 * Math.random()))
}

function lockTimeoutOf({ payload }: Job): number {
  return typeof payload.lockTimeoutMs === 'number' ? payload.lockTimeoutMs : LOCK_TIMEOUT_MS
}

function retryAfter(code: 'NO_CONNECTION_AVAILABLE', retryInMs: number) {
  return { retryInMs, error: { code, message: new PublicError(code).message } }
}

async function applyTo(
  deps: MigrationJobDeps,
  running: RunningJob,
  entry: Validation,
): Promise<MigrationOutcome> {
  const { signal } = running
  const connectTimeoutMs = Math.min(entry.connectionTimeoutSeconds * 1_000, MAX_CONNECT_TIMEOUT_MS)
  const wasValid = entry.status === 'active' || entry.status === 'inactive'
  const address = wasValid ? deps.addresses.validatedAddressOf(entry) : deps.addresses.addressOf(entry)
  return withMigration(deps, { address, connectTimeoutMs, signal }, async (client, started) => {
    await assertUsable(client)
    const checked = await checkDatabase(client, {
      ...{ tenantId: entry.tenantId, migrations: deps.migrations(), tables: deps.tables },
      ...{ forbidden: deps.forbidden, wasValid },
      apply: applyOptions(deps, running, started),
    })
    const { schemaVersion } = checked
    // The migration that adds the column for seals cannot fill it, because SQL has no keys.
    if (wasValid && checked.stamp !== null) {
      const { epoch } = checked.stamp
      const residence = { tenantId: entry.tenantId, epoch, placement: 'dedicated' as const }
      await putSeal(client, { ...residence, seal: deps.sealOf(residence) })
    }
    return { ok: true, schemaVersion, applied: started.applied }
  })
}

async function applyToShared(deps: MigrationJobDeps, running: RunningJob): Promise<MigrationOutcome> {
  const { signal } = running
  const target = { address: deps.shared, connectTimeoutMs: SHARED_CONNECT_TIMEOUT_MS, signal }
  return withMigration(deps, target, async (client, started) => {
    const migrations = deps.migrations()
    await applyMigrations(client, migrations, applyOptions(deps, running, started))
    await sealResidents(client, deps.sealOf)
    await assertIsolated(client, deps.tables)
    return { ok: true, schemaVersion: await readSchemaVersion(client, migrations), applied: started.applied }
  })
}

async function assertIsolated(client: pg.ClientBase, tables: DeclaredTables): Promise<void> {
  const [violation] = await findIsolationViolations(client, { everything: true, tables })
  if (violation !== undefined) throw new CheckFailure('SCHEMA_DRIFTED', new Error(JSON.stringify(violation)))
}

/** The migrations that this job has applied so far. With the first one the time limit of the checks ends. */
interface StartedMigration {
  readonly applied: string[]
  endChecks(): void
}

function applyOptions({ log }: MigrationJobDeps, { job, note }: RunningJob, started: StartedMigration) {
  return {
    lockTimeoutMs: lockTimeoutOf(job),
    log: {
      info: (fields: { migration?: string }, message: string) => {
        if (fields.migration !== undefined) started.applied.push(fields.migration)
        log.info(fields, message)
      },
    },
    onProgress: async (progress: { done: number; total: number }) => {
      started.endChecks()
      await note({ step: 'applying', progress })
    },
  }
}

function withMigration<T>(
  { budget }: MigrationJobDeps,
  target: Pick<CheckConnection, 'address' | 'connectTimeoutMs' | 'signal'>,
  fn: (client: GuardedClient, started: StartedMigration) => Promise<T>,
): Promise<T> {
  const timeouts = { statementTimeoutMs: STATEMENT_TIMEOUT_MS, checksTimeoutMs: CHECKS_TIMEOUT_MS }
  return withCheckConnection(budget, { ...target, ...timeouts }, (client, endChecks) =>
    fn(client, { applied: [], endChecks }),
  )
}
