import { and, eq, inArray, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import type { Binding } from '../../crypto/envelope.ts'
import { fail } from '../../errors.ts'
import { newId } from '../../lib/ids.ts'
import {
  type ConnectionTarget,
  parseConnectionString,
  type SslMode,
} from '../../lib/postgres/connection-string.ts'
import { type Actor, recordAudit } from '../audit/entries.ts'
import { recordChange } from '../changes/follower.ts'
import { dropJobs, type Job, replaceJob } from '../jobs/queue.ts'
import { type DatabaseStatus, type Placement, type SchemaVersion, tenantDatabases } from '../schema.ts'
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
} from './claims.ts'
import {
  DATABASE_ERRORS,
  type DatabaseEntry,
  type DatabaseErrorCode,
  type DatabaseView,
  entryColumns,
  type Lifecycle,
  summarize,
} from './entry.ts'
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

/** Names one version of one entry. */
export type EntryRef = Pick<DatabaseEntry, 'id' | 'tenantId' | 'rowVersion'>

/** The entry was replaced or removed since the caller learnt of it: its route is to be read again. */
export class DatabaseEntryChangedError extends Error {
  override readonly name = 'DatabaseEntryChangedError'
  readonly code = 'DATABASE_ENTRY_CHANGED'

  constructor() {
    super('the database entry is not what it was')
  }
}

interface SealedEntry {
  sealed: Buffer
  sslMode: SslMode
}

const SEALED_MAX = 10_000

export interface RegistryOptions {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly lifecycle: Lifecycle
  readonly release?: ReleaseView
}

/** The databases that tenants own, as the catalog knows them. The only place where their connection strings are opened. */
export class DatabaseRegistry {
  readonly #store: CatalogStore
  readonly #vault: Vault
  readonly #lifecycle: Lifecycle
  readonly #release: ReleaseView
  // Still sealed, so that a known tenant's pool can be opened while the catalog is down.
  readonly #sealed = new LRUCache<string, SealedEntry>({ max: SEALED_MAX })

  constructor({ store, vault, lifecycle, release = NO_RELEASE }: RegistryOptions) {
    this.#store = store
    this.#vault = vault
    this.#lifecycle = lifecycle
    this.#release = release
  }

  /** The entry that serves, or is to serve, the tenant. */
  async current(tenantId: string): Promise<DatabaseEntry | null> {
    return this.#find(tenantId, 'current')
  }

  /** The entry that is to take the current one's place once it is valid. */
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
   * Registers a database, to be validated. It is a candidate where a current one was valid once; else it takes that one's
   * row, under a new version, so that work on the old version comes to nothing.
   *
   * @throws PublicError TENANT_NOT_FOUND; ConnectionStringError for a text that was not checked before.
   */
  async put(
    tx: CatalogTx,
    tenantId: string,
    registration: Registration,
    actor: Actor,
  ): Promise<DatabaseEntry> {
    if ((await lockTenant(tx, tenantId)) === null) throw fail('TENANT_NOT_FOUND')
    const { id, slot, rowVersion } = await this.#placeFor(tx, tenantId)
    const text = registration.connectionString.reveal()
    const key = await this.#vault.dataKey(tenantId)
    const sealed = key.seal('database-credential', text, bindingOf({ id, tenantId, rowVersion }))
    const columns = {
      rowVersion,
      sealedConnectionString: sealed,
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

  /**
   * Opens an entry's connection string. The password in it is a Secret; `sslMode` is the effective one.
   *
   * @throws DatabaseEntryChangedError when there is no such version any more.
   */
  async openTarget(ref: EntryRef): Promise<ConnectionTarget & { sslMode: SslMode }> {
    return this.#vault.opening(ref.tenantId, () =>
      this.#open(ref).catch((error: unknown) => {
        this.forgetTarget(ref)
        throw error
      }),
    )
  }

  /** Has an entry's connection string read again: what is known of it does not work. */
  forgetTarget({ id, rowVersion }: Pick<EntryRef, 'id' | 'rowVersion'>): void {
    this.#sealed.delete(`${id}:${rowVersion}`)
  }

  /** To be called when changes may have been missed: a version may have been given anew, to another connection string. */
  clear(): void {
    this.#sealed.clear()
  }

  async #open(ref: EntryRef): Promise<ConnectionTarget & { sslMode: SslMode }> {
    const { sealed, sslMode } = await this.#sealedOf(ref)
    const key = await this.#vault.dataKey(ref.tenantId)
    const opened = key.open('database-credential', sealed, bindingOf(ref))
    try {
      return { ...parseConnectionString(opened.toString('utf8')), sslMode }
    } finally {
      opened.fill(0)
    }
  }

  /** The entry that a claimed job validates; null when it is gone. */
  async validationOf(job: Job): Promise<Validation | null> {
    const wanted = eq(tenantDatabases.id, job.subject)
    const [row] = await catalogErrors(this.#store.db.select(entryColumns).from(tenantDatabases).where(wanted))
    return row === undefined ? null : { ...row, job }
  }

  /** Claims up to `limit` once validated entries that are due for a check. */
  claimDueHealthChecks(age: CheckAge, limit: number, leaseMs: number): Promise<DueCheck[]> {
    return claimHealthChecks(this.#store.db, age, { limit, leaseMs })
  }

  /** Has an entry validated again, soon. Null when there is no such entry. */
  async requestValidation(
    tx: CatalogTx,
    { id, adopt }: { id: string; adopt: boolean },
    actor: Actor,
  ): Promise<DatabaseEntry | null> {
    const before = await lockEntry(tx, id)
    if (before === null) return null
    const { status, validationAttempts } = this.#lifecycle(before, 'validation-requested').state
    // A health check under way began before what the operator wants looked at: its outcome is not to be the answer.
    const unclaimed = { claimedBy: null, claimedUntil: null }
    const set = { status, validationAttempts, adopt, ...unclaimed, updatedAt: sql`now()` }
    const [entry] = await tx
      .update(tenantDatabases)
      .set(set)
      .where(eq(tenantDatabases.id, id))
      .returning(entryColumns)
    if (entry === undefined) return null
    // Nor is that of a validation under way.
    await replaceJob(tx, validationJob(entry, { needs: this.#release.needs }))
    await record(tx, { action: 'tenant.database.validate', actor, entry, ...(adopt && { more: { adopt } }) })
    return entry
  }

  /** Takes entries out that are nobody's home. Answers how many of them there were. */
  async remove(tx: CatalogTx, ids: readonly string[], actor: Actor): Promise<number> {
    // All of them before the first record: who has its lock waits for no row that another holds who waits for that lock.
    const gone = await tx
      .delete(tenantDatabases)
      .where(inArray(tenantDatabases.id, [...ids]))
      .returning(entryColumns)
    await dropJobs(tx, ids)
    for (const entry of gone) await record(tx, { action: 'tenant.database.delete', actor, entry })
    return gone.length
  }

  /** Ends a claimed validation. Answers the new status, or null when the claim no longer stands. */
  finishValidation(claimed: ValidationClaim, outcome: ValidationOutcome): Promise<DatabaseStatus | null> {
    const settled = outcomeOf(outcome)
    return this.#store.transaction((tx) => endValidation(tx, claimed, settled, this.#lifecycle))
  }

  /** Ends a validation for which migrations have to be applied first. False when the claim no longer stands. */
  queueMigration(claimed: Validation): Promise<boolean> {
    return this.#store.transaction((tx) => queueFirstMigration(tx, claimed, this.#release.needs))
  }

  /** Ends a claimed migration of an entry, and what it means for the entry. False when the claim no longer stands. */
  finishMigration(claimed: Validation, outcome: MigrationOutcome): Promise<boolean> {
    return this.#store.transaction((tx) => endMigration(tx, claimed, outcome, this.#lifecycle))
  }

  /** Writes down that a validation was cancelled, in the transaction that ends its job. */
  cancelValidation(tx: CatalogTx, entryId: string): Promise<void> {
    return cancelValidation(tx, entryId, this.#lifecycle)
  }

  /**
   * Ends a claimed health check. An inactive database that answers stays so until `reactivate`; a read-only one serves what
   * it can. Answers as above.
   */
  async recordHealth(
    claimed: Claim & Pick<DatabaseEntry, 'schemaVersion'>,
    result: HealthResult,
  ): Promise<DatabaseStatus | null> {
    if ('code' in result) {
      const event = result.code === 'READ_ONLY' && !result.isUnproven ? 'ping-read-only' : 'ping-failed'
      return this.#settle(claimed, event, { errorCode: result.code })
    }
    const { schemaVersion } = result
    const isOutdated = isBehind(schemaVersion ?? claimed.schemaVersion, this.#release.target)
    const found = { isBehind: isOutdated, ...(schemaVersion !== undefined && { version: schemaVersion }) }
    if (await endHealthyCheck(this.#store.db, claimed, found)) return 'active'
    return this.#settle(claimed, 'ping-succeeded')
  }

  /** Ends a claimed health check of an inactive database that answers, and whose stamp holds. Answers as above. */
  reactivate(claimed: Claim, schemaVersion: SchemaVersion): Promise<DatabaseStatus | null> {
    const isOutdated = isBehind(schemaVersion, this.#release.target)
    return this.#settle(claimed, 'reactivated', {
      facts: { schemaVersion },
      ...(isOutdated && { errorCode: 'SCHEMA_OUT_OF_DATE' }),
    })
  }

  /** Writes down what requests have found wrong with an active database; the next health round has the last word. */
  async noteError(id: string, code: DatabaseErrorCode): Promise<void> {
    const found = { lastErrorCode: code, lastErrorMessage: DATABASE_ERRORS[code], lastErrorAt: sql`now()` }
    const active = and(eq(tenantDatabases.id, id), eq(tenantDatabases.status, 'active'))
    await catalogErrors(this.#store.db.update(tenantDatabases).set(found).where(active))
  }

  /** How many registered databases, candidates included, have each status. */
  async countByStatus(): Promise<Record<DatabaseStatus, number>> {
    const columns = { status: tenantDatabases.status, count: sql<number>`count(*)::int` }
    const query = this.#store.db.select(columns).from(tenantDatabases).groupBy(tenantDatabases.status)
    const counts = { pending_validation: 0, active: 0, failed: 0, inactive: 0 }
    for (const { status, count } of await catalogErrors(query)) counts[status] = count
    return counts
  }

  #settle(
    claimed: Claim,
    event: Parameters<Lifecycle>[1],
    details: Omit<Parameters<typeof endHealthCheck>[2], 'event'> = {},
  ) {
    return this.#store.transaction((tx) =>
      endHealthCheck(tx, claimed, { event, ...details }, this.#lifecycle),
    )
  }

  async #find(tenantId: string, slot: 'current' | 'candidate'): Promise<DatabaseEntry | null> {
    const wanted = and(eq(tenantDatabases.tenantId, tenantId), eq(tenantDatabases.slot, slot))
    const [row] = await catalogErrors(this.#store.db.select(entryColumns).from(tenantDatabases).where(wanted))
    return row ?? null
  }

  async #placeFor(tx: CatalogTx, tenantId: string) {
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
    const place: 'current' | 'candidate' = serves ? 'candidate' : 'current'
    return { id: replaced?.id ?? newId(), slot: place, rowVersion: (replaced?.rowVersion ?? 0) + 1 }
  }

  async #sealedOf({ id, tenantId, rowVersion }: EntryRef): Promise<SealedEntry> {
    const cacheKey = `${id}:${rowVersion}`
    const known = this.#sealed.get(cacheKey)
    if (known) return known
    const { sealedConnectionString: sealed, sslMode } = tenantDatabases
    const wanted = and(
      eq(tenantDatabases.id, id),
      eq(tenantDatabases.tenantId, tenantId),
      eq(tenantDatabases.rowVersion, rowVersion),
    )
    const [row] = await catalogErrors(
      this.#store.db.select({ sealed, sslMode }).from(tenantDatabases).where(wanted),
    )
    if (row === undefined) throw new DatabaseEntryChangedError()
    const entry = { sealed: row.sealed, sslMode: row.sslMode as SslMode }
    this.#sealed.set(cacheKey, entry)
    return entry
  }
}

/** An entry as operators see it: every field of the contract, and nothing that is secret. */
export function describeDatabase(
  entry: DatabaseEntry,
  candidate: DatabaseEntry | null,
  placement: Placement,
  encryptionKeyId: string | null,
): DatabaseView {
  return {
    ...summarize(entry, placement, encryptionKeyId),
    candidate: candidate && summarize(candidate, placement, encryptionKeyId),
  }
}

function bindingOf({ id, tenantId, rowVersion }: EntryRef): Binding {
  const column = 'sealed_connection_string'
  return { table: 'tenant_databases', column, tenantId, rowId: id, rowVersion }
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
