import { and, eq } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import type { Binding } from '../../crypto/envelope.ts'
import { atMost } from '../../lib/cache/at-most.ts'
import {
  type ConnectionTarget,
  parseConnectionString,
  type SslMode,
} from '../../lib/postgres/connection-string.ts'
import type { Secret } from '../../lib/secret.ts'
import { tenantDatabases } from '../schema.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import type { Vault } from '../vault.ts'
import { DatabaseEntryChangedError, type EntryRef } from './entry.ts'

/** A parsed connection string. The password in it is a Secret; `sslMode` is the effective one. */
export type OpenedTarget = ConnectionTarget & { sslMode: SslMode }

interface SealedEntry {
  sealed: Buffer
  sslMode: SslMode
}

const SEALED_MAX = 10_000

/** Seals and opens the connection strings of entries. The only place that opens one. */
export class CredentialStore {
  readonly #store: CatalogStore
  readonly #vault: Vault
  // Sealed values are cached so that a known tenant's pool can be opened while the catalog is down.
  readonly #sealed = new LRUCache<string, SealedEntry>(atMost(SEALED_MAX))

  constructor(store: CatalogStore, vault: Vault) {
    this.#store = store
    this.#vault = vault
  }

  async seal(ref: EntryRef, connectionString: Secret): Promise<Buffer> {
    const key = await this.#vault.dataKey(ref.tenantId)
    return key.seal('database-credential', connectionString.reveal(), bindingOf(ref))
  }

  /** @throws DatabaseEntryChangedError if this version of the entry is gone */
  async open(ref: EntryRef): Promise<OpenedTarget> {
    return this.#vault.opening(ref.tenantId, () =>
      this.#open(ref).catch((error: unknown) => {
        this.forget(ref)
        throw error
      }),
    )
  }

  forget({ id, rowVersion }: Pick<EntryRef, 'id' | 'rowVersion'>): void {
    this.#sealed.delete(`${id}:${rowVersion}`)
  }

  clear(): void {
    this.#sealed.clear()
  }

  async #open(ref: EntryRef): Promise<OpenedTarget> {
    const { sealed, sslMode } = await this.#sealedOf(ref)
    const key = await this.#vault.dataKey(ref.tenantId)
    const opened = key.open('database-credential', sealed, bindingOf(ref))
    return readOpened(opened, sslMode)
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
    const query = this.#store.db.select({ sealed, sslMode }).from(tenantDatabases).where(wanted)
    const [row] = await catalogErrors(query)
    if (row === undefined) throw new DatabaseEntryChangedError()
    const entry = { sealed: row.sealed, sslMode: row.sslMode as SslMode }
    this.#sealed.set(cacheKey, entry)
    return entry
  }
}

/** Parses a connection string that was just decrypted, and overwrites it. */
export function readOpened(opened: Buffer, sslMode: SslMode): OpenedTarget {
  try {
    return { ...parseConnectionString(opened.toString('utf8')), sslMode }
  } finally {
    opened.fill(0)
  }
}

function bindingOf({ id, tenantId, rowVersion }: EntryRef): Binding {
  const column = 'sealed_connection_string'
  return { table: 'tenant_databases', column, tenantId, rowId: id, rowVersion }
}
