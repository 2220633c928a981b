import { LRUCache } from 'lru-cache'
import { PublicError } from '../../errors.ts'
import { SingleFlight } from '../../lib/single-flight.ts'

export interface LookupCacheOptions<Row> {
  readonly load: (lookup: string) => Promise<Row | null>
  readonly max?: number
  /** After this a row is read again. */
  readonly ttlMs?: number
  /** How long "there is none" is believed. */
  readonly negativeTtlMs?: number
  /** How long after its reading a row still serves while the catalog is unreachable. */
  readonly maxStalenessMs?: number
  readonly now?: () => number
}

interface Entry<Row> {
  readonly row: Row | null
  readonly loadedAt: number
}

const ATTEMPTS_AGAINST_INVALIDATION = 3
const OUTAGE_RETRY_MS = 1000

/**
 * Catalog rows by their lookup, for credentials: one load at a time a lookup, "there is none" for seconds only.
 * Change rows keep it right (`invalidate`, `clear`); time keeps it right where those were missed.
 * A load that began before an invalidation is neither kept nor believed.
 */
export class LookupCache<Row extends { readonly id: string }> {
  readonly #options: Required<LookupCacheOptions<Row>>
  readonly #found: LRUCache<string, Entry<Row>>
  // Apart from the rows, so that guesses cannot push these out.
  readonly #missing: LRUCache<string, Entry<Row>>
  #loading = new SingleFlight<Row | null>()
  #generation = 0
  /** When the catalog last failed us; null since it answered. */
  #failedAt: number | null = null

  constructor(options: LookupCacheOptions<Row>) {
    this.#options = {
      max: 10_000,
      ttlMs: 60_000,
      negativeTtlMs: 5_000,
      maxStalenessMs: 300_000,
      now: () => Date.now(),
      ...options,
    }
    this.#found = new LRUCache({ max: this.#options.max })
    this.#missing = new LRUCache({ max: this.#options.max })
  }

  /** The row, null when there is none, undefined when that must be asked (`find`). Never waits. */
  peek(lookup: string): Row | null | undefined {
    const { now, ttlMs, negativeTtlMs } = this.#options
    const found = this.#found.get(lookup)
    if (found && now() - found.loadedAt < ttlMs) return found.row
    if (found && this.#mayServeStale(found)) {
      this.#retryLater(lookup)
      return found.row
    }
    const missing = this.#missing.get(lookup)
    return missing && now() - missing.loadedAt < negativeTtlMs ? null : undefined
  }

  /** @throws PublicError CATALOG_UNAVAILABLE when the row is not known well enough without the catalog. */
  async find(lookup: string): Promise<Row | null> {
    const known = this.peek(lookup)
    return known === undefined ? this.#loading.run(lookup, () => this.#load(lookup)) : known
  }

  /** Forgets the row with this id (not lookup): changes name rows by id. */
  invalidate(id: string): void {
    this.#generation += 1
    this.#loading = new SingleFlight()
    for (const [lookup, { row }] of this.#found.entries()) {
      if (row?.id === id) this.#found.delete(lookup)
    }
  }

  /** Forgets everything: changes may have been missed. */
  clear(): void {
    this.#generation += 1
    this.#loading = new SingleFlight()
    this.#found.clear()
    this.#missing.clear()
  }

  #mayServeStale({ loadedAt }: Entry<Row>): boolean {
    return this.#failedAt !== null && this.#options.now() - loadedAt < this.#options.maxStalenessMs
  }

  /** In the background: else each request of an outage would wait for the connection's deadline. */
  #retryLater(lookup: string): void {
    const now = this.#options.now()
    if (this.#failedAt === null || now - this.#failedAt < OUTAGE_RETRY_MS) return
    this.#failedAt = now
    this.#loading.run(lookup, () => this.#load(lookup)).catch(() => undefined)
  }

  async #load(lookup: string): Promise<Row | null> {
    for (let attempt = 1; ; attempt += 1) {
      const generation = this.#generation
      const loadedAt = this.#options.now()
      const row = await this.#loadOrStale(lookup)
      if (generation === this.#generation) {
        if (!row.stale) this.#keep(lookup, { row: row.row, loadedAt })
        return row.row
      }
      if (attempt === ATTEMPTS_AGAINST_INVALIDATION) return row.row
    }
  }

  async #loadOrStale(lookup: string): Promise<{ row: Row | null; stale: boolean }> {
    try {
      const row = await this.#options.load(lookup)
      this.#failedAt = null
      return { row, stale: false }
    } catch (error) {
      if (!(error instanceof PublicError) || error.code !== 'CATALOG_UNAVAILABLE') throw error
      this.#failedAt = this.#options.now()
      const entry = this.#found.get(lookup)
      if (!entry || !this.#mayServeStale(entry)) throw error
      return { row: entry.row, stale: true }
    }
  }

  #keep(lookup: string, entry: Entry<Row>): void {
    const [into, outOf] = entry.row ? [this.#found, this.#missing] : [this.#missing, this.#found]
    outOf.delete(lookup)
    into.set(lookup, entry)
  }
}
