import type pg from 'pg'
import { DatabaseEntryChangedError, type DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { Validation } from '../catalog/databases/validations.ts'
import type { SealOf } from '../catalog/seals.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant } from '../catalog/tenants.ts'
import { fail, PublicError } from '../errors.ts'
import type { OwnDatabase } from '../lib/postgres/database-identity.ts'
import { databaseError, type ServerAddress } from '../lib/postgres/pg.ts'
import { startTimeLimit, type TimeLimit } from '../lib/time-limit.ts'
import type { Migration } from '../migrations/files.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { NoAdmissionError, withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { assertUsable } from '../pools/wire/sessionless.ts'
import type { DeclaredTables } from '../residence/isolation.ts'
import { applyPlacement, factsOf } from './apply-placement.ts'
import { CHECK_ANSWER_BYTES, checkDatabase, checkResidence } from './checks.ts'
import { raiseEpochToStamp, returnToShared } from './correct-placement.ts'
import { CheckFailure, classify, wordsFor } from './failures.ts'
import { UNREACHABLE_CODES } from './inspect-database.ts'
import { lockResidence, withRelocationLock } from './relocate.ts'
import { putSeal, readStamp, unfence } from './residence.ts'
import { type RestoreDeps, restoreRevocations } from './restore-revocations.ts'
import {
  ADMISSION_TIMEOUT_MS,
  STATEMENT_TIMEOUT_MS,
  type TenantConnectionDeps,
  withTenantDatabase,
} from './tenant-connection.ts'

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
  /** For the checks of one database together, once the connection is open. */
  readonly timeoutMs: number
  /** Breaks the validation off: it was cancelled, or is another replica's now. */
  readonly signal?: AbortSignal
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly onOutcome: (outcome: string) => void
  /** Has the next job begun without waiting for the next look at them. */
  readonly wake: () => void
}

/** What it takes to reach a tenant's home. */
export type RepairDeps = TenantConnectionDeps &
  Pick<ValidationDeps, 'store' | 'registry'> & { readonly log: Pick<ValidationDeps['log'], 'warn'> }

const MAY_NOT_BE_APPLIED = 'The schema lacks migrations, and applyMigrations is false'

/** How the job of a validation has ended. */
export type Settled = 'succeeded' | 'failed'

const CONNECT_TIMEOUT_MS = 20_000

/**
 * Validates an entry and, where nothing speaks against it, makes it the tenant's home. Ends with a status in the catalog;
 * after faults of our own side (no catalog, no free connection), and where null is answered, it is to be done again.
 * @throws PublicError CATALOG_UNAVAILABLE, MOVE_IN_PROGRESS; NoAdmissionError
 */
export async function validateDatabase(deps: ValidationDeps, entry: Validation): Promise<Settled | null> {
  try {
    const isValid = await checkAndSettle(deps, entry)
    if (isValid) deps.onOutcome('ok')
    const outcome = isValid ? 'database validated' : 'database waits for its migrations'
    deps.log.info({ tenantId: entry.tenantId, databaseId: entry.id }, outcome)
    return 'succeeded'
  } catch (error) {
    if (error instanceof NoAdmissionError || isInProgress(error)) throw error
    try {
      if (deps.signal?.aborted === true) throw error
      const failure = await returnedToShared(deps, entry, error)
      return failure === null ? null : await recordFailure(deps, entry, failure)
    } finally {
      await repairResidence(deps, entry.tenantId)
    }
  }
}

/**
 * Where the tenant's own database is another tenant's now, or is out of reach and an operator has decided, the tenant may have
 * come back to the shared one before the catalog was restored. Null if so; else the error with which the validation ends.
 */
async function returnedToShared(deps: ValidationDeps, entry: Validation, error: unknown): Promise<unknown> {
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

/** Another validation is at work there, maybe one that an operator has overtaken by asking for this one. */
export function isInProgress(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'MOVE_IN_PROGRESS'
}

async function recordFailure(
  deps: ValidationDeps,
  entry: Validation,
  error: unknown,
): Promise<Settled | null> {
  // Replaced or removed meanwhile: what was found is of no interest to anyone.
  if (error instanceof DatabaseEntryChangedError) return null
  if (error instanceof PublicError) throw error
  const code = classify(error)
  deps.onOutcome(code)
  deps.log.warn({ tenantId: entry.tenantId, databaseId: entry.id, code, err: error }, 'database not valid')
  await deps.registry.finishValidation(entry, { ok: false, code, words: wordsFor(error) })
  return 'failed'
}

/** False where the database is valid but for migrations, which a job of their own applies before it is validated again. */
async function checkAndSettle(deps: ValidationDeps, entry: Validation): Promise<boolean> {
  const { address, connect } = connectionTo(deps, entry)
  const limits = {
    connectTimeoutMs: connect,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    maxAnswerBytes: CHECK_ANSWER_BYTES,
  }
  const deadline = new AbortController()
  let patience: TimeLimit | undefined
  const signals = deps.signal === undefined ? [deadline.signal] : [deadline.signal, deps.signal]
  const options = {
    budget: deps.budget,
    limits,
    admissionTimeoutMs: ADMISSION_TIMEOUT_MS,
    signal: AbortSignal.any(signals),
  }
  try {
    return await withAdminConnection(address, options, async (client) => {
      // Not before: connecting has a limit of its own, and that we have no connection to spare is not the database's fault.
      patience = startTimeLimit(() => deadline.abort(), deps.timeoutMs)
      await assertUsable(client)
      const checked = await checkDatabase(client, {
        tenantId: entry.tenantId,
        ...{ migrations: deps.migrations(), tables: deps.tables, forbidden: deps.forbidden },
      })
      patience.clear()
      if (checked.isBehind && !hasServed(entry)) return await waitForMigrations(deps, entry)
      await lockResidence(client)
      // Somebody may have moved in, another tenant or this one, before it was our turn.
      const latest = { ...checked, residence: await checkResidence(client, entry.tenantId) }
      const residence = await homeCanBeLeft(applyPlacement(deps, { entry, checked: latest, client }))
      if (residence === 'tenant-database') await restoreRevocations(deps, client, entry.tenantId)
      const { isBehind } = checked
      await deps.registry.finishValidation(entry, { ok: true, ...factsOf(checked), residence, isBehind })
      return true
    })
  } catch (error) {
    throw deadline.signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
  } finally {
    patience?.clear()
  }
}

/** What serves goes on with the schema that it has; a run of migrations brings it further. */
function hasServed({ status }: Validation): boolean {
  return status === 'active' || status === 'inactive'
}

/** @throws CheckFailure SCHEMA_OUT_OF_DATE where migrations may not be applied */
async function waitForMigrations(deps: ValidationDeps, entry: Validation): Promise<false> {
  if (!entry.applyMigrations) throw new CheckFailure('SCHEMA_OUT_OF_DATE', undefined, MAY_NOT_BE_APPLIED)
  await deps.registry.queueMigration(entry)
  deps.wake()
  return false
}

/**
 * Settles as `work` does. The database that was checked took writes a moment ago: what takes none is the tenant's home, which
 * is no fault of this one. The claim lapses, and the validation is done again.
 * @throws PublicError TENANT_DATABASE_UNAVAILABLE
 */
async function homeCanBeLeft<T>(work: Promise<T>): Promise<T> {
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

function connectionTo(deps: ValidationDeps, entry: Validation): { address: ServerAddress; connect: number } {
  const connect = Math.min(entry.connectionTimeoutSeconds * 1_000, CONNECT_TIMEOUT_MS)
  return { address: deps.addresses.addressOf(entry), connect }
}

/**
 * Lifts the fence that a move which did not come about may have left at the tenant's home, be it one of a gateway that
 * was killed, and waits for one that is under way. Never rejects: the next statement that waits in vain asks again.
 */
export async function repairResidence(deps: RepairDeps, tenantId: string): Promise<void> {
  try {
    const tenant = await findTenant(deps.store, tenantId)
    if (tenant === null) return
    const current = tenant.placement === 'dedicated' ? await deps.registry.current(tenantId) : null
    if (current !== null && current.status !== 'active') return
    await withTenantDatabase(deps, current, async (client) => {
      const isRaised = current === null && (await raiseEpochToStamp(deps, client, tenantId))
      if (isRaised) deps.log.warn({ tenantId }, 'epoch raised to that of the shared database')
      else await openDoorAndSeal(deps, client, tenantId)
    })
  } catch (err) {
    deps.log.warn({ tenantId, err }, 'home not looked after')
  }
}

/** A stamp that has lost its seal, or was restored from before it had one, lets nobody in. */
function openDoorAndSeal(deps: RepairDeps, client: pg.ClientBase, tenantId: string): Promise<void> {
  return withRelocationLock(deps.store, client, tenantId, async ({ epoch, placement }) => {
    const seal = deps.sealOf({ tenantId, epoch, placement })
    if (await putSeal(client, { tenantId, epoch, seal }))
      deps.log.warn({ tenantId }, 'residence had no seal, or another one; sealed')
    await unfence(client, tenantId, epoch)
  })
}
