import type pg from 'pg'
import { systemActor } from '../catalog/audit.ts'
import type { DatabaseEntry } from '../catalog/database-entry.ts'
import { DatabaseEntryChangedError, type DatabaseRegistry } from '../catalog/databases.ts'
import { makeHome } from '../catalog/homes.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { findTenant, type Tenant } from '../catalog/tenants.ts'
import { fail, PublicError } from '../errors.ts'
import { CHECK_ANSWER_BYTES, type CheckedDatabase, checkDatabase, checkResidence } from '../health/checks.ts'
import { CheckFailure, classify, wordsFor } from '../health/failures.ts'
import { IdentityMismatchError, isSameDatabase, type OwnDatabase } from '../lib/database-identity.ts'
import { type Patience, startPatience } from '../lib/patience.ts'
import { databaseError, type ServerAddress } from '../lib/pg.ts'
import type { Migration } from '../migrations/files.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { NoAdmissionError, withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { type RaiseDeps, raiseGenerations } from './raise-generations.ts'
import { clearOldHome, lockResidence, relocate, unfence, whileAtRest } from './relocate.ts'

export interface ValidationDeps {
  readonly store: CatalogStore
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly announcements: RaiseDeps['announcements']
  readonly shared: ServerAddress
  readonly migrations: readonly Migration[]
  readonly forbidden: readonly OwnDatabase[]
  /** For the checks of one database together, once the connection is open. */
  readonly timeoutMs: number
  readonly log: {
    info(fields: object, message: string): void
    warn(fields: object, message: string): void
  }
  readonly onOutcome: (outcome: string) => void
}

/** What it takes to reach a tenant's home. */
export type HomeDeps = Pick<ValidationDeps, 'store' | 'registry' | 'addresses' | 'budget' | 'shared'> & {
  readonly log: Pick<ValidationDeps['log'], 'warn'>
}

const ADMISSION_TIMEOUT_MS = 3_000
const STATEMENT_TIMEOUT_MS = 5_000
/** With what comes before and after it less than a claim lasts. */
const CONNECT_TIMEOUT_MS = 20_000

/**
 * Validates a claimed entry and, where nothing speaks against it, makes it the tenant's home. Ends with a status in the
 * catalog; only faults of our own side (no catalog, no free connection) leave the claim to lapse and be taken up again.
 * @throws PublicError CATALOG_UNAVAILABLE, NoAdmissionError
 */
export async function validateDatabase(deps: ValidationDeps, entry: DatabaseEntry): Promise<void> {
  try {
    await checkAndSettle(deps, entry)
    deps.onOutcome('ok')
    deps.log.info({ tenantId: entry.tenantId, databaseId: entry.id }, 'database validated')
  } catch (error) {
    if (error instanceof NoAdmissionError || isInProgress(error)) {
      // Whoever has a connection to spare, or comes when the other is done, is not to wait for the claim to lapse.
      await deps.registry.releaseClaim(entry)
      throw error
    }
    try {
      await recordFailure(deps, entry, error)
    } finally {
      await reopenHome(deps, entry.tenantId)
    }
  }
}

/** Another validation is at work there, maybe one that an operator has overtaken by asking for this one. */
function isInProgress(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'MOVE_IN_PROGRESS'
}

async function recordFailure(deps: ValidationDeps, entry: DatabaseEntry, error: unknown): Promise<void> {
  // Replaced or removed meanwhile: what was found is of no interest to anyone.
  if (error instanceof DatabaseEntryChangedError) return
  if (error instanceof PublicError) throw error
  const code = classify(error)
  deps.onOutcome(code)
  deps.log.warn({ tenantId: entry.tenantId, databaseId: entry.id, code, err: error }, 'database not valid')
  await deps.registry.finishValidation(entry, { ok: false, code, words: wordsFor(error) })
}

async function checkAndSettle(deps: ValidationDeps, entry: DatabaseEntry): Promise<void> {
  const { address, connect } = connectionTo(deps, entry)
  const limits = {
    connectTimeoutMs: connect,
    statementTimeoutMs: STATEMENT_TIMEOUT_MS,
    maxAnswerBytes: CHECK_ANSWER_BYTES,
  }
  const deadline = new AbortController()
  let patience: Patience | undefined
  const options = {
    budget: deps.budget,
    limits,
    admissionTimeoutMs: ADMISSION_TIMEOUT_MS,
    signal: deadline.signal,
  }
  try {
    await withAdminConnection(address, options, async (client) => {
      // Not before: connecting has a limit of its own, and that we have no connection to spare is not the database's fault.
      patience = startPatience(() => deadline.abort(), deps.timeoutMs)
      const checked = await checkDatabase(client, {
        tenantId: entry.tenantId,
        migrations: deps.migrations,
        applyMigrations: entry.applyMigrations,
        lockTimeoutMs: STATEMENT_TIMEOUT_MS,
        forbidden: deps.forbidden,
      })
      patience.clear()
      await lockResidence(client)
      // Somebody may have moved in, another tenant or this one, before it was our turn.
      const latest = { ...checked, residence: await checkResidence(client, entry.tenantId) }
      const residence = await homeCanBeLeft(settleIn(deps, { entry, checked: latest, client }))
      if (residence === 'became-home') await raiseGenerations(deps, client, entry.tenantId)
      await deps.registry.finishValidation(entry, { ok: true, ...factsOf(checked), residence })
    })
  } catch (error) {
    throw deadline.signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
  } finally {
    patience?.clear()
  }
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
    throw databaseError(error)?.code === '25006'
      ? fail('TENANT_DATABASE_UNAVAILABLE', { cause: error })
      : error
  }
}

function connectionTo(
  deps: ValidationDeps,
  entry: DatabaseEntry,
): { address: ServerAddress; connect: number } {
  const connect = Math.min(entry.connectionTimeoutSeconds * 1_000, CONNECT_TIMEOUT_MS)
  return { address: deps.addresses.addressOf(entry), connect }
}

interface Candidate {
  readonly entry: DatabaseEntry
  readonly checked: CheckedDatabase
  readonly client: pg.ClientBase
}

async function settleIn(
  deps: ValidationDeps,
  candidate: Candidate,
): Promise<'became-home' | 'move-required'> {
  const { entry, checked } = candidate
  const tenant = await findTenant(deps.store, entry.tenantId)
  if (tenant === null) throw new DatabaseEntryChangedError()
  const livesThere = tenant.placement === 'dedicated' && checked.residence?.epoch === tenant.epoch
  if (livesThere) return stayIn(deps, candidate, tenant)
  // A current entry of a tenant that lives in it, without the tenant's stamp: some other database under the same name.
  if (tenant.placement === 'dedicated' && entry.slot === 'current')
    throw new CheckFailure('BELONGS_TO_ANOTHER_TENANT')
  return (await moveInto(deps, candidate, tenant)) ? 'became-home' : 'move-required'
}

/** The database is the tenant's home already, under this entry or under the one that it is to replace. */
async function stayIn(
  deps: ValidationDeps,
  { entry, checked, client }: Candidate,
  tenant: Tenant,
): Promise<'became-home' | 'move-required'> {
  if (entry.slot === 'candidate') {
    const current = await deps.registry.current(tenant.id)
    // A copy carries the stamp of its original. While that serves, going over to the copy would lose what is written since.
    if (current?.status === 'active' && !(await isSamePlace(deps, current, { checked, client })))
      return 'move-required'
  }
  if (checked.residence?.state === 'fenced') await openDoor(deps, client, tenant.id)
  if (entry.slot === 'candidate' || entry.status === 'pending_validation' || entry.status === 'failed') {
    await commitHome(deps, { entry, checked }, { epoch: tenant.epoch, newEpoch: tenant.epoch })
  }
  await withHome(deps, null, (shared) => clearShared(deps, shared, tenant.id))
  return 'became-home'
}

/** Whatever a tenant has in the shared database while it lives in its own is left over from a move to or fro. */
function clearShared(deps: ValidationDeps, shared: pg.ClientBase, tenantId: string): Promise<void> {
  return whileAtRest(deps.store, shared, tenantId, async ({ placement, epoch }) => {
    if (placement === 'dedicated') await clearOldHome(shared, tenantId, epoch + 1)
  })
}

/** What a clone says of itself is what the original says; where the original can be asked, it is. */
async function isSamePlace(
  deps: ValidationDeps,
  current: DatabaseEntry,
  { checked: { identity }, client }: Pick<Candidate, 'checked' | 'client'>,
): Promise<boolean> {
  const isAlike =
    current.systemIdentifier === identity.systemIdentifier && current.databaseOid === identity.databaseOid
  return isAlike && isSameDatabase(client, (fn) => withHome(deps, current, fn))
}

async function moveInto(
  deps: ValidationDeps,
  { entry, checked, client }: Candidate,
  tenant: Tenant,
): Promise<boolean> {
  const current = tenant.placement === 'dedicated' ? await deps.registry.current(tenant.id) : null
  // A home that does not answer cannot be asked whether something would be left behind.
  if (current !== null && current.status !== 'active') return false
  const commit = (newEpoch: number) => commitHome(deps, { entry, checked }, { epoch: tenant.epoch, newEpoch })
  try {
    return await withHome(deps, current, (from) =>
      relocate({ store: deps.store, tenant, from, to: client, commit }),
    )
  } catch (error) {
    // Nor can one in whose place another stands; that is no fault of the database that was validated.
    if (current !== null && error instanceof IdentityMismatchError) return false
    throw error
  }
}

/**
 * Lifts the fence that a move which did not come about may have left at the tenant's home, be it one of a gateway that
 * was killed, and waits for one that is under way. Never rejects: the next statement that waits in vain asks again.
 */
export async function reopenHome(deps: HomeDeps, tenantId: string): Promise<void> {
  try {
    const tenant = await findTenant(deps.store, tenantId)
    if (tenant === null) return
    const current = tenant.placement === 'dedicated' ? await deps.registry.current(tenantId) : null
    if (current !== null && current.status !== 'active') return
    await withHome(deps, current, (client) => openDoor(deps, client, tenantId))
  } catch (err) {
    deps.log.warn({ tenantId, err }, 'home not looked after')
  }
}

function openDoor(
  { store }: Pick<HomeDeps, 'store'>,
  client: pg.ClientBase,
  tenantId: string,
): Promise<void> {
  return whileAtRest(store, client, tenantId, ({ epoch }) => unfence(client, tenantId, epoch))
}

/**
 * Lends a connection to a tenant's home: its own database, or (null) the shared one.
 * @throws IdentityMismatchError where another database has taken its place; what connecting and `fn` throw
 */
export function withHome<T>(
  deps: Pick<ValidationDeps, 'addresses' | 'budget' | 'shared'>,
  entry: DatabaseEntry | null,
  fn: (client: pg.Client) => Promise<T>,
): Promise<T> {
  const address = entry === null ? deps.shared : deps.addresses.homeOf(entry)
  const limits = { connectTimeoutMs: STATEMENT_TIMEOUT_MS, statementTimeoutMs: STATEMENT_TIMEOUT_MS }
  return withAdminConnection(
    address,
    { budget: deps.budget, limits, admissionTimeoutMs: ADMISSION_TIMEOUT_MS },
    fn,
  )
}

async function commitHome(
  deps: ValidationDeps,
  { entry, checked }: Omit<Candidate, 'client'>,
  epochs: { epoch: number; newEpoch: number },
): Promise<void> {
  const { id: entryId, tenantId, rowVersion, claimedBy } = entry
  if (claimedBy === null) throw new DatabaseEntryChangedError()
  const actor = systemActor('validation')
  const home = { tenantId, entryId, rowVersion, claimedBy, ...epochs, facts: factsOf(checked), actor }
  const done = await deps.store.transaction((tx) => makeHome(tx, home))
  if (!done) throw new DatabaseEntryChangedError()
}

function factsOf({ identity, serverVersion, schemaVersion }: CheckedDatabase) {
  return { ...identity, serverVersion, schemaVersion }
}
