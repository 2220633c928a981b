import { eq, inArray, type SQL, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import { type Binding, SealBrokenError, UnknownKeyError } from '../crypto/envelope.ts'
import { DataKey, type Keyring } from '../crypto/keyring.ts'
import { atMost } from '../lib/cache/at-most.ts'
import { newId } from '../lib/ids.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { dataKeys } from './encryption-schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** A master key by its fingerprint, and how many data keys it wraps. */
export interface KeyUse {
  readonly keyId: string
  readonly count: number
}

/** Data keys are wrapped by master keys that this process was not given. */
export class CatalogSealedWithOtherKeyError extends Error {
  override readonly name = 'CatalogSealedWithOtherKeyError'
  readonly code = 'WRONG_ENCRYPTION_KEY'
  readonly missing: readonly KeyUse[]

  constructor(missing: readonly KeyUse[], options?: ErrorOptions) {
    const told = missing.map(({ keyId, count }) => `${keyId} (needed by ${count})`).join(', ')
    super(`data keys are sealed with encryption keys that were not given: ${told}`, options)
    this.missing = missing
  }
}

interface StoredKey {
  id: string
  sealedKey: Buffer
  rowVersion: number
}

// The unique index has this expression, so the query for the service's row (no tenant) uses the index too.
const NO_TENANT = '00000000-0000-0000-0000-000000000000'
const ownerOf = (tenantId: string | null) =>
  eq(sql`coalesce(${dataKeys.tenantId}, ${sql.raw(`'${NO_TENANT}'`)}::uuid)`, tenantId ?? NO_TENANT)

/** The data keys of the tenants and of the service itself. A key is created at its first use, and cached when it is opened. */
export class Vault {
  readonly #store: CatalogStore
  readonly #keyring: Keyring
  readonly #opened: LRUCache<string, DataKey>
  #opening = new SingleFlight<DataKey>()
  /** Grows when keys are removed from the cache. A key whose read began before that is not cached. */
  #generation = 0
  #service: DataKey | null = null

  /** `max`: how many tenants' data keys are kept open. */
  constructor(store: CatalogStore, keyring: Keyring, options: { max: number }) {
    this.#store = store
    this.#keyring = keyring
    this.#opened = new LRUCache(atMost(options.max))
  }

  /**
   * Makes or opens the service's data key.
   *
   * @throws CatalogSealedWithOtherKeyError if a data key of the service or of any tenant needs a missing master key. So a start
   *   fails if a retired key was removed too early.
   */
  async init(): Promise<void> {
    const missing = await this.missingKeys()
    if (missing.length > 0) throw new CatalogSealedWithOtherKeyError(missing)
    try {
      this.#service = await this.#load(null)
    } catch (error) {
      // A process with another master key has just created the data key.
      if (!(error instanceof UnknownKeyError)) throw error
      throw new CatalogSealedWithOtherKeyError([{ keyId: error.keyId, count: 1 }], { cause: error })
    }
  }

  /** The master keys that data keys need and that this process does not have. */
  async missingKeys(): Promise<KeyUse[]> {
    return countKeys(
      this.#store,
      sql`${dataKeys.masterKeyId} <> all(${sql.param([...this.#keyring.keyIds])})`,
    )
  }

  /** All master keys that data keys need. */
  async usedKeys(): Promise<KeyUse[]> {
    return countKeys(this.#store)
  }

  /** The service's own key. Call `init()` first. */
  get service(): DataKey {
    if (this.#service === null) throw new Error('the vault is used before init()')
    return this.#service
  }

  /**
   * The tenant's data key (null: the service's). The first call uses another connection, so call it before you begin a transaction.
   * The tenant must be committed.
   *
   * @throws UnknownKeyError if this process lacks the master key; SealBrokenError if the row was changed
   */
  async dataKey(tenantId: string | null): Promise<DataKey> {
    if (tenantId === null) return this.service
    const known = this.#opened.get(tenantId)
    if (known) return known
    const generation = this.#generation
    return this.#opening.run(tenantId, async () => {
      const key = await this.#load(tenantId)
      if (generation === this.#generation) this.#opened.set(tenantId, key)
      return key
    })
  }

  /**
   * Forgets the tenants' keys. Call it when changes were missed: the catalog may have lost new keys, and a value sealed with a
   * lost key could never be opened again.
   */
  clear(): void {
    this.#generation += 1
    this.#opened.clear()
    this.#opening = new SingleFlight()
  }

  /**
   * Opens something that is sealed under the tenant's data key. If that fails, reads the key again and tries once more: a row
   * that was restored or repaired must work without a restart.
   */
  async opening<T>(tenantId: string, open: () => Promise<T>): Promise<T> {
    try {
      return await open()
    } catch (error) {
      if (!(error instanceof SealBrokenError || error instanceof UnknownKeyError)) throw error
      this.#generation += 1
      this.#opened.delete(tenantId)
      this.#opening.forget(tenantId)
      return open()
    }
  }

  /** Fingerprint of the master key that wraps the tenant's data key; null if the tenant has no data key yet. */
  async masterKeyIdOf(tenantId: string | null): Promise<string | null> {
    const query = this.#store.db.select({ id: dataKeys.masterKeyId }).from(dataKeys).where(ownerOf(tenantId))
    const [row] = await catalogErrors(query)
    return row?.id ?? null
  }

  /** As `masterKeyIdOf`, for many tenants; those without a data key are left out. */
  async masterKeyIdsOf(tenantIds: readonly string[]): Promise<Map<string, string>> {
    if (tenantIds.length === 0) return new Map()
    const { tenantId, masterKeyId } = dataKeys
    const query = this.#store.db.select({ tenantId, masterKeyId }).from(dataKeys)
    const rows = await catalogErrors(query.where(inArray(tenantId, [...tenantIds])))
    return new Map(rows.flatMap((row) => (row.tenantId === null ? [] : [[row.tenantId, row.masterKeyId]])))
  }

  async #load(tenantId: string | null): Promise<DataKey> {
    const stored = (await this.#find(tenantId)) ?? (await this.#create(tenantId))
    return this.#keyring.unwrapDataKey(stored.sealedKey, bindingOf(tenantId, stored))
  }

  async #find(tenantId: string | null): Promise<StoredKey | null> {
    const { id, sealedKey, rowVersion } = dataKeys
    const query = this.#store.db.select({ id, sealedKey, rowVersion }).from(dataKeys).where(ownerOf(tenantId))
    const [row] = await catalogErrors(query)
    return row ?? null
  }

  /** If several replicas create the key at once, one insert wins, and the others read its row. */
  async #create(tenantId: string | null): Promise<StoredKey> {
    const row = { id: newId(), rowVersion: 1 }
    const sealedKey = this.#keyring.wrapDataKey(DataKey.generate(), bindingOf(tenantId, row))
    const values = { ...row, tenantId, sealedKey, masterKeyId: this.#keyring.primaryKeyId }
    await catalogErrors(this.#store.db.insert(dataKeys).values(values).onConflictDoNothing())
    const stored = await this.#find(tenantId)
    if (stored === null) throw new Error('the data key was inserted but not found')
    return stored
  }
}

async function countKeys(store: CatalogStore, which?: SQL): Promise<KeyUse[]> {
  const columns = { keyId: dataKeys.masterKeyId, count: sql<number>`count(*)::int` }
  const query = store.db.select(columns).from(dataKeys).where(which)
  return catalogErrors(query.groupBy(dataKeys.masterKeyId).orderBy(dataKeys.masterKeyId))
}

/** The binding of a wrapped data key: it opens only in this row and version. */
export function bindingOf(tenantId: string | null, row: { id: string; rowVersion: number }): Binding {
  const { id: rowId, rowVersion } = row
  return { table: 'data_keys', column: 'sealed_key', tenantId, rowId, rowVersion }
}
