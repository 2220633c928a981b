import { and, eq, inArray, sql } from 'drizzle-orm'
import { fail } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import { type Actor, recordAudit } from '../audit/entries.ts'
import { recordChange } from '../changes/follower.ts'
import { dropJobs, type Job, replaceJob } from '../jobs/queue.ts'
import { type DatabaseStatus, type SchemaVersion, tenantDatabases } from '../schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../store.ts'
import { lockTenant } from '../tenants.ts'
import type { Vault } from '../vault.ts'
import {
  type CheckAge,
  type Claim,
  claimHealthChecks,
  type DueCheck,
  endHealthCheck,
  endHealthyCheck,
  type Outcome,
} from './claims.ts'
import { CredentialStore, type OpenedTarget } from './credentials.ts'
import {
  type DatabaseEntry,
  type DatabaseErrorCode,
  type EntryRef,
  entryColumns,
  type Lifecycle,
  type LifecycleEvent,
} from './entry.ts'
import { errorColumns, noClaim } from './entry-columns.ts'
import { endMigration, type MigrationOutcome, queueFirstMigration } from './entry-migrations.ts'
import {
  type HealthResult,
  NO_RELEASE,
  outcomeOf,
  type ReleaseView,
  type ValidationOutcome,
} from './outcomes.ts'
import { type Registration, registeredColumns, unvalidated } from './registration.ts'
import { isBehind } from './schema-versions.ts'
import {
  cancelValidation,
  endValidation,
  lockEntry,
  type Validation,
  type ValidationClaim,
  validationJob,
} from './validations.ts'

export interface RegistryOptions {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly lifecycle: Lifecycle
  readonly release?: ReleaseView
}

/** The registered databases of tenants, as the catalog knows them: registration, validation, health and removal. */
export class DatabaseRegistry {
  readonly #store: CatalogStore
  readonly #lifecycle: Lifecycle
  readonly #release: ReleaseView
  readonly #credentials: CredentialStore

  constructor({ store, vault, lifecycle, release = NO_RELEASE }: RegistryOptions) {
    this.#store = store
    this.#credentials = new CredentialStore(store, vault)
    this.#lifecycle = lifecycle
    this.#release = release
  }

  /** The entry in the slot `current`: the database that serves the tenant, or the first one registered for it. */
  async current(tenantId: string): Promise<DatabaseEntry | null> {
    return this.#find(tenantId, 'current')
  }

  /** The entry in the slot `candidate`: it replaces the current one when it is valid. */
  async candidate(tenantId: string): Promise<DatabaseEntry | null> {
    return this.#find(tenantId, 'candidate')
  }

  /** The current entries of many tenants, by tenant id. */
  async currentOf(tenantIds: readonly string[]): Promise<Map<string, DatabaseEntry>> {
    if (tenantIds.length === 0) return new Map()
    const wanted = and(inArray(tenantDatabases.tenantId, [...tenantIds]), eq(tenantDatabases.slot, 'current'))
    const rows = await catalogErrors(this.#store.db.select(entryColumns).from(tenantDatabases).where(wanted))
    return new Map(rows.map((row) => [row.tenantId, row]))
  }

  /**
   * Registers a database and queues its validation. If the current database was ever valid, the new one becomes a candidate.
   * Otherwise it replaces the row, with a new version, so results for the old version no longer count.
   *
   * @throws PublicError TENANT_NOT_FOUND; ConnectionStringError for a text that was not checked before.
   */
  async put(
    tx: CatalogTx,
    { tenantId, registration, actor }: { tenantId: string; registration: Registration; actor: Actor },
  ): Promise<DatabaseEntry> {
    if ((await lockTenant(tx, tenantId)) === null) throw fail('TENANT_NOT_FOUND')
    const { id, slot, rowVersion } = await slotFor(tx, tenantId)
    const ref = { id, tenantId, rowVersion }
    const columns = {
      rowVersion,
      sealedConnectionString: await this.#credentials.seal(ref, registration.connectionString),
      ...registeredColumns(registration),
      ...unvalidated,
    }
    const [entry] = await tx
      .insert(tenantDatabases)
      .values({ id, tenantId, slot, ...columns })
      .onConflictDoUpdate({ target: [tenantDatabases.tenantId, tenantDatabases.slot], set: columns })
      .returning(entryColumns)
    if (entry === undefined) throw new Error('the database was not registered')
    await dropJobs(tx, [entry.id])
    await replaceJob(tx, validationJob(entry, { needs: this.#release.needs }))
    await record(tx, { action: 'tenant.database.put', actor, entry })
    return entry
  }

  /** As `CredentialStore.open`. @throws DatabaseEntryChangedError if this version of the entry is gone */
  openTarget(ref: EntryRef): Promise<OpenedTarget> {
    return this.#credentials.open(ref)
  }

  /** Removes a connection string that does not work from the cache. The next use reads it again. */
  forgetTarget(ref: Pick<EntryRef, 'id' | 'rowVersion'>): void {
    this.#credentials.forget(ref)
  }

  /** Call it when changes may have been missed. After a restore a version may have another connection string. */
  clear(): void {
    this.#credentials.clear()
  }

  /** The entry that a claimed job validates; null when it is gone. */
  async validationOf(job: Job): Promise<Validation | null> {
    const wanted = eq(tenantDatabases.id, job.subject)
    const [row] = await catalogErrors(this.#store.db.select(entryColumns).from(tenantDatabases).where(wanted))
    return row === undefined ? null : { ...row, job }
  }

  /** Claims up to `limit` entries that are due for a health check. */
  claimDueHealthChecks(age: CheckAge, limit: number, leaseMs: number): Promise<DueCheck[]> {
    return claimHealthChecks(this.#store.db, age, { limit, leaseMs })
  }

  /** Queues another validation of an entry. Null if there is no such entry. */
  async requestValidation(
    tx: CatalogTx,
    { id, adopt }: { id: string; adopt: boolean },
    actor: Actor,
  ): Promise<DatabaseEntry | null> {
    const before = await lockEntry(tx, id)
    if (before === null) return null
    const { status, validationAttempts } = this.#lifecycle(before, 'validation-requested').state
    // A running health check or validation began before the operator asked, so its result must not count.
    const set = { status, validationAttempts, adopt, ...noClaim, updatedAt: sql`now()` }
    const [entry] = await tx
      .update(tenantDatabases)
      .set(set)
      .where(eq(tenantDatabases.id, id))
      .returning(entryColumns)
    if (entry === undefined) return null
    await replaceJob(tx, validationJob(entry, { needs: this.#release.needs }))
    await record(tx, { action: 'tenant.database.validate', actor, entry, ...(adopt && { more: { adopt } }) })
    return entry
  }

  /** Removes entries that are not a tenant database. Returns how many were removed. */
  async remove(tx: CatalogTx, ids: readonly string[], actor: Actor): Promise<number> {
    // Delete all rows before the first record. `recordChange` takes a lock, and a transaction with that lock must not wait for a
    // row: the transaction that holds the row may wait for that lock.
    const gone = await tx
      .delete(tenantDatabases)
      .where(inArray(tenantDatabases.id, [...ids]))
      .returning(entryColumns)
    await dropJobs(tx, ids)
    for (const entry of gone) await record(tx, { action: 'tenant.database.delete', actor, entry })
    return gone.length
  }

  /** Ends a claimed validation. Returns the new status, or null if the claim is lost. */
  finishValidation(claimed: ValidationClaim, outcome: ValidationOutcome): Promise<DatabaseStatus | null> {
    return this.#store.transaction((tx) =>
      endValidation(tx, claimed, { outcome: outcomeOf(outcome), lifecycle: this.#lifecycle }),
    )
  }

  /** Ends a validation and queues the migration that is needed first. False if the claim is lost. */
  queueMigration(claimed: Validation): Promise<boolean> {
    return this.#store.transaction((tx) => queueFirstMigration(tx, claimed, this.#release.needs))
  }

  /** Ends a claimed migration and changes the entry accordingly. False if the claim is lost. */
  finishMigration(claimed: Validation, outcome: MigrationOutcome): Promise<boolean> {
    return this.#store.transaction((tx) => endMigration(tx, claimed, { outcome, lifecycle: this.#lifecycle }))
  }

  /** Records that a validation was cancelled, in the transaction that ends its job. */
  cancelValidation(tx: CatalogTx, entryId: string): Promise<void> {
    return cancelValidation(tx, entryId, this.#lifecycle)
  }

  /**
   * Ends a claimed health check. An inactive database that answers stays inactive until `reactivate`; a read-only one keeps
   * serving reads. Returns the new status, or null if the claim is lost.
   */
  async recordHealth(
    claimed: Claim & Pick<DatabaseEntry, 'schemaVersion'>,
    result: HealthResult,
  ): Promise<DatabaseStatus | null> {
    if ('code' in result) {
      const event = result.code === 'READ_ONLY' && !result.isUnproven ? 'ping-read-only' : 'ping-failed'
      return this.#endCheck(claimed, event, { errorCode: result.code })
    }
    const { schemaVersion } = result
    const isOutdated = isBehind(schemaVersion ?? claimed.schemaVersion, this.#release.target)
    const found = { isBehind: isOutdated, ...(schemaVersion !== undefined && { version: schemaVersion }) }
    if (await endHealthyCheck(this.#store.db, claimed, found)) return 'active'
    return this.#endCheck(claimed, 'ping-succeeded')
  }

  /** As `recordHealth`, for an inactive database that answers and has the right stamp. */
  reactivate(claimed: Claim, schemaVersion: SchemaVersion): Promise<DatabaseStatus | null> {
    const isOutdated = isBehind(schemaVersion, this.#release.target)
    return this.#endCheck(claimed, 'reactivated', {
      facts: { schemaVersion },
      ...(isOutdated && { errorCode: 'SCHEMA_OUT_OF_DATE' }),
    })
  }

  /** Records an error that a request has found in an active database. The next health round replaces it. */
  async noteError(id: string, code: DatabaseErrorCode): Promise<void> {
    const active = and(eq(tenantDatabases.id, id), eq(tenantDatabases.status, 'active'))
    await catalogErrors(this.#store.db.update(tenantDatabases).set(errorColumns(code)).where(active))
  }

  /** How many registered databases, candidates included, have each status. */
  async countByStatus(): Promise<Record<DatabaseStatus, number>> {
    const columns = { status: tenantDatabases.status, count: sql<number>`count(*)::int` }
    const query = this.#store.db.select(columns).from(tenantDatabases).groupBy(tenantDatabases.status)
    const counts = { pending_validation: 0, active: 0, failed: 0, inactive: 0 }
    for (const { status, count } of await catalogErrors(query)) counts[status] = count
    return counts
  }

  #endCheck(claimed: Claim, event: LifecycleEvent, details: Omit<Outcome, 'event'> = {}) {
    return this.#store.transaction((tx) =>
      endHealthCheck(tx, claimed, { outcome: { event, ...details }, lifecycle: this.#lifecycle }),
    )
  }

  async #find(tenantId: string, slot: 'current' | 'candidate'): Promise<DatabaseEntry | null> {
    const wanted = and(eq(tenantDatabases.tenantId, tenantId), eq(tenantDatabases.slot, slot))
    const [row] = await catalogErrors(this.#store.db.select(entryColumns).from(tenantDatabases).where(wanted))
    return row ?? null
  }
}

/** The slot for a new registration, with the id and version that its row gets. */
async function slotFor(tx: CatalogTx, tenantId: string) {
  const { id, slot, rowVersion, status } = tenantDatabases
  const columns = { id, slot, rowVersion, status }
  const entries = await tx
    .select(columns)
    .from(tenantDatabases)
    .where(eq(tenantDatabases.tenantId, tenantId))
    .for('update')
  const current = entries.find((entry) => entry.slot === 'current')
  const serves = current?.status === 'active' || current?.status === 'inactive'
  const replaced = serves ? entries.find((entry) => entry.slot === 'candidate') : current
  const slotName: 'current' | 'candidate' = serves ? 'candidate' : 'current'
  return { id: replaced?.id ?? newId(), slot: slotName, rowVersion: (replaced?.rowVersion ?? 0) + 1 }
}

async function record(
  tx: CatalogTx,
  { action, actor, entry, more }: { action: string; actor: Actor; entry: DatabaseEntry; more?: object },
): Promise<void> {
  const { id, tenantId, slot, status, host, port, databaseName, userName, sslMode, poolSize } = entry
  const after = {
    databaseId: id,
    slot,
    status,
    host,
    port,
    databaseName,
    userName,
    sslMode,
    poolSize,
    ...more,
  }
  const removed = action === 'tenant.database.delete'
  await recordAudit(tx, { actor, action, tenantId, ...(removed ? { before: after } : { after }) })
  await recordChange(tx, { kind: 'database', tenantId, subjectId: id })
}
