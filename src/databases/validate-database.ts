import { DatabaseEntryChangedError } from '../catalog/databases/entry.ts'
import type { ValidatedAs } from '../catalog/databases/outcomes.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Validation } from '../catalog/databases/validations.ts'
import type { SealOf } from '../catalog/seals.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant } from '../catalog/tenants.ts'
import { fail, PublicError } from '../errors.ts'
import type { OwnDatabase } from '../lib/postgres/database-identity.ts'
import { databaseError, type ServerAddress } from '../lib/postgres/pg.ts'
import type { Migration } from '../migrations/files.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { NoAdmissionError } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { assertUsable } from '../pools/wire/sessionless.ts'
import type { DeclaredTables } from '../residence/isolation.ts'
import { applyPlacement, type Candidate, factsOf } from './apply-placement.ts'
import { withCheckConnection } from './check-connection.ts'
import { type CheckedDatabase, checkDatabase, findSoleStamp } from './checks.ts'
import { returnToShared } from './correct-placement.ts'
import { CheckFailure, classify, UNREACHABLE_CODES, wordsFor } from './failures.ts'
import { lockResidence } from './relocate.ts'
import { repairResidence } from './repair-residence.ts'
import { readStamp } from './residence.ts'
import { type RestoreDeps, restoreRevocations } from './restore-revocations.ts'
import { assertOrdinaryRole } from './servers/assert-ordinary-role.ts'
import { STATEMENT_TIMEOUT_MS, withTenantDatabase } from './tenant-connection.ts'

export interface ValidationDeps {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly announcements: RestoreDeps['announcements']
  readonly shared: ServerAddress
  readonly sealOf: SealOf
  readonly migrations: () => readonly Migration[]
  readonly tables: DeclaredTables
  readonly forbidden: readonly OwnDatabase[]
  /** Time limit for all checks of one database together, after the connection was opened. */
  readonly timeoutMs: number
  /** Ends the validation: it was cancelled, or another replica has taken it over. */
  readonly signal?: AbortSignal
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly onOutcome: (outcome: string) => void
  /** Lets the next job start now, before the next poll. */
  readonly wake: () => void
}

/** The result of a validation job. */
export type ValidationResult = 'succeeded' | 'failed'

const MAY_NOT_BE_APPLIED = 'The schema lacks migrations, and applyMigrations is false'
const CONNECT_TIMEOUT_MS = 20_000

/**
 * Validates an entry and decides whether its database becomes the tenant database. Writes the new status to the catalog. Repeat the
 * validation if the answer is null, or after a fault that the database did not cause (no catalog, no free connection).
 * @throws PublicError CATALOG_UNAVAILABLE, MOVE_IN_PROGRESS; NoAdmissionError
 */
export async function validateDatabase(
  deps: ValidationDeps,
  entry: Validation,
): Promise<ValidationResult | null> {
  try {
    const isValid = await checkAndPlace(deps, entry)
    if (isValid) deps.onOutcome('ok')
    const outcome = isValid ? 'database validated' : 'database waits for its migrations'
    deps.log.info({ tenantId: entry.tenantId, databaseId: entry.id }, outcome)
    return 'succeeded'
  } catch (error) {
    if (error instanceof NoAdmissionError || isInProgress(error)) throw error
    try {
      if (deps.signal?.aborted === true) throw error
      const failure = await unlessReturnedToShared(deps, entry, error)
      return failure === null ? null : await recordFailure(deps, entry, failure)
    } finally {
      await repairResidence(deps, entry.tenantId)
    }
  }
}

/**
 * The tenant may have returned to the shared database before the catalog was restored. Tests this if the dedicated database now belongs
 * to another tenant or is unreachable. Null if the tenant has returned; else the error with which the validation ends.
 */
async function unlessReturnedToShared(
  deps: ValidationDeps,
  entry: Validation,
  error: unknown,
): Promise<unknown> {
  const code = classify(error)
  const isAway = code === 'BELONGS_TO_ANOTHER_TENANT' || UNREACHABLE_CODES.has(code)
  if (!isAway || error instanceof PublicError || entry.slot !== 'current') return error
  const tenant = await findTenant(deps.store, entry.tenantId)
  if (tenant === null || tenant.placement !== 'dedicated') return error
  const { epoch, id } = tenant
  const found = await withTenantDatabase(deps, null, (shared) => readStamp(shared, id)).catch(() => null)
  if (found === null || found.state !== 'open' || found.epoch <= epoch) return error
  const isDecided = entry.adopt || code === 'BELONGS_TO_ANOTHER_TENANT'
  if (!isDecided) return new CheckFailure('IDENTITY_AMBIGUOUS', error)
  return (await returnToShared(deps, tenant)) ? null : error
}

/** Another validation holds the locks, perhaps one that an operator has replaced by this one. */
export function isInProgress(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'MOVE_IN_PROGRESS'
}

async function recordFailure(
  deps: ValidationDeps,
  entry: Validation,
  error: unknown,
): Promise<ValidationResult | null> {
  // The entry was replaced or removed, so the validated database is no longer registered.
  if (error instanceof DatabaseEntryChangedError) return null
  if (error instanceof PublicError) throw error
  const code = classify(error)
  deps.onOutcome(code)
  deps.log.warn({ tenantId: entry.tenantId, databaseId: entry.id, code, err: error }, 'database not valid')
  await deps.registry.finishValidation(entry, { ok: false, code, words: wordsFor(error) })
  return 'failed'
}

/** False if the database only lacks migrations. A job then applies them and queues another validation. */
function checkAndPlace(deps: ValidationDeps, entry: Validation): Promise<boolean> {
  const connection = {
    address: deps.addresses.addressOf(entry),
    connectTimeoutMs: Math.min(entry.connectionTimeoutSeconds * 1_000, CONNECT_TIMEOUT_MS),
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    checksTimeoutMs: deps.timeoutMs,
    signal: deps.signal,
  }
  return withCheckConnection(deps.budget, connection, async (client, endChecks) => {
    await assertUsable(client)
    const checked = await checkDatabase(client, {
      tenantId: entry.tenantId,
      ...{ migrations: deps.migrations(), tables: deps.tables, forbidden: deps.forbidden },
    })
    const { systemIdentifier } = checked.identity
    await assertOrdinaryRole(deps.store, client, { host: entry.host, port: entry.port, systemIdentifier })
    endChecks()
    if (checked.isBehind && !hasServed(entry)) return waitForMigrations(deps, entry)
    await place(deps, { entry, checked, client })
    return true
  })
}

async function place(deps: ValidationDeps, { entry, checked, client }: Candidate): Promise<void> {
  await lockResidence(client)
  // Read the stamp again: it may have been written before this connection had the lock.
  const latest: CheckedDatabase = { ...checked, stamp: await findSoleStamp(client, entry.tenantId) }
  const validatedAs = await blameCurrentDatabase(applyPlacement(deps, { entry, checked: latest, client }))
  if (validatedAs === 'tenant-database') await restoreRevocations(deps, client, entry.tenantId)
  const { isBehind } = checked
  await deps.registry.finishValidation(entry, { ok: true, ...factsOf(checked), validatedAs, isBehind })
}

/** A database that served before keeps serving with its old schema. A run of migrations updates it. */
function hasServed({ status }: Validation): boolean {
  return status === 'active' || status === 'inactive'
}

/** @throws CheckFailure SCHEMA_OUT_OF_DATE if migrations may not be applied */
async function waitForMigrations(deps: ValidationDeps, entry: Validation): Promise<false> {
  if (!entry.applyMigrations) throw new CheckFailure('SCHEMA_OUT_OF_DATE', undefined, MAY_NOT_BE_APPLIED)
  await deps.registry.queueMigration(entry)
  deps.wake()
  return false
}

/**
 * Gives the result of `work`. The candidate has just accepted writes, so a read-only error comes from the tenant's current database. That
 * is not a fault of the candidate: the claim expires, and the validation is repeated.
 * @throws PublicError TENANT_DATABASE_UNAVAILABLE
 */
async function blameCurrentDatabase(work: Promise<ValidatedAs>): Promise<ValidatedAs> {
  try {
    return await work
  } catch (error) {
    // The catalog's own refusals are public already.
    if (error instanceof PublicError) throw error
    throw databaseError(error)?.code === '25006'
      ? fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
      : error
  }
}
