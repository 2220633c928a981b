import { eq, inArray, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import { type Binding, UnknownKeyError } from '../crypto/envelope.ts'
import { DataKey, type Keyring } from '../crypto/keyring.ts'
import { newId } from '../lib/ids.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import { dataKeys } from './schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** The catalog's secrets were sealed under a master key that this process was not given. */
export class CatalogSealedWithOtherKeyError extends Error {
  override readonly name = 'CatalogSealedWithOtherKeyError'
  readonly code = 'WRONG_ENCRYPTION_KEY'
  /** Fingerprint of the key that is needed. */
  readonly keyId: string

  constructor(keyId: string, options?: ErrorOptions) {
    super(`the catalog is sealed with the encryption key ${keyId}, which was not given`, options)
    this.keyId = keyId
  }
}

interface StoredKey {
  id: string
  sealedKey: Buffer
  rowVersion: number
}

// The unique index is over this expression: with it, the service's row (no tenant) is found as fast as any.
const NO_TENANT = '00000000-0000-0000-0000-000000000000'
const ownerOf = (tenantId: string | null) =>
  eq(sql`coalesce(${dataKeys.tenantId}, ${sql.raw(`'${NO_TENANT}'`)}::uuid)`, tenantId ?? NO_TENANT)

/** Gives each tenant, and the service itself, its data key: made at first use, opened once, kept for the recently used. */
export class Vault {
  readonly #store: CatalogStore
  readonly #keyring: Keyring
  readonly #opened: LRUCache<string, DataKey>
  readonly #opening = new SingleFlight<DataKey>()
  #service: DataKey | null = null

  /** `max`: how many tenants' data keys are kept open. */
  constructor(store: CatalogStore, keyring: Keyring, options: { max: number }) {
    this.#store = store
    this.#keyring = keyring
    this.#opened = new LRUCache({ max: options.max })
  }

  /**
   * Makes or opens the service's data key.
   *
   * @throws CatalogSealedWithOtherKeyError when another master key sealed it.
   */
  async init(): Promise<void> {
    try {
      this.#service = await this.#load(null)
    } catch (error) {
      if (error instanceof UnknownKeyError) {
        throw new CatalogSealedWithOtherKeyError(error.keyId, { cause: error })
      }
      throw error
    }
  }

  /** The service's own key. Only after `init()`. */
  get service(): DataKey {
    if (this.#service === null) throw new Error('the vault is used before init()')
    return this.#service
  }

  /**
   * The tenant's data key (null: the service's). Takes a connection of its own the first time, so ask for it before
   * opening a transaction; the tenant must have been committed.
   *
   * @throws UnknownKeyError when its master key is not at hand, SealBrokenError when the row was changed.
   */
  async dataKey(tenantId: string | null): Promise<DataKey> {
    if (tenantId === null) return this.service
    const known = this.#opened.get(tenantId)
    if (known) return known
    return this.#opening.run(tenantId, async () => {
      const key = await this.#load(tenantId)
      this.#opened.set(tenantId, key)
      return key
    })
  }

  /** Fingerprint of the master key that wraps the tenant's data key; null while there is none. */
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

  /** Of several replicas that create it at once one wins; the others read the winner's. */
  async #create(tenantId: string | null): Promise<StoredKey> {
    const row = { id: newId(), rowVersion: 1 }
    const sealedKey = this.#keyring.wrapDataKey(DataKey.generate(), bindingOf(tenantId, row))
    const values = { ...row, tenantId, sealedKey, masterKeyId: this.#keyring.primaryKeyId }
    await catalogErrors(this.#store.db.insert(dataKeys).values(values).onConflictDoNothing())
    const stored = await this.#find(tenantId)
    if (stored === null) throw new Error('the data key that was just made is not there')
    return stored
  }
}

function bindingOf(tenantId: string | null, row: { id: string; rowVersion: number }): Binding {
  const { id: rowId, rowVersion } = row
  return { table: 'data_keys', column: 'sealed_key', tenantId, rowId, rowVersion }
}
