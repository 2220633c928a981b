import { LRUCache } from 'lru-cache'
import { type Clock, systemClock } from '../clock.ts'
import { SingleFlight } from '../single-flight.ts'
import { atMost } from './at-most.ts'

export interface FreshCacheOptions<By, V> {
  /** Reads a value from its source. Null means that there is none. */
  readonly load: (by: By) => Promise<V | null>
  readonly keyOf: (by: By) => string
  /** The id by which changes name a value. An id is also a key of its value. */
  readonly idOf: (value: V, by: By) => string
  /** The other keys of a value. */
  readonly keysOf?: (value: V, by: By) => readonly string[]
  /** True if a key is an id. Its load cannot return a value with another id. */
  readonly isId?: (key: string) => boolean
  /** True if a load failed because the source cannot be reached. Then old values may be used. */
  readonly isOutage: (error: unknown) => boolean
  /** `all`: one source has all values, so one failed load counts for all. `each`: each value has a source of its own. */
  readonly outageOf: 'all' | 'each'
  /**
   * What happens in an outage after old values were used for a second. `wait`: the next `find` waits for a new load.
   * `background`: a new load begins, and old values are used until a load succeeds.
   */
  readonly retry: 'wait' | 'background'
  /** How many values are kept, and how many keys without a value. */
  readonly max: number
  /** How long a value is used before it is loaded again. */
  readonly ttlMs: number
  /** How long the cache returns that there is no value before it loads again. */
  readonly negativeTtlMs?: number
  /** How long a value may be used in an outage after it was loaded or confirmed. */
  readonly maxStalenessMs: number
  /** If true, a value is fresh only if it was also loaded or confirmed within `maxStalenessMs`. */
  readonly needsConfirmation?: boolean
  readonly clock?: Clock
}

interface Entry<V> {
  readonly value: V
  readonly keys: readonly string[]
  readonly loadedAt: number
  /** When a load of this value last failed because its source could not be reached. */
  failedAt: number | null
}

/** A running load, and the ids that were invalidated since it began. Its result may be older than the invalidation. */
interface Flight {
  readonly key: string
  readonly invalidated: Set<string>
  cleared: boolean
}

const NEGATIVE_TTL_MS = 5_000
/** Without this pause each request of an outage would wait for the connection deadline of its source. */
const OUTAGE_PAUSE_MS = 1_000

/**
 * Keeps values of a slower source, with the keys that lead to them.
 *
 *   unknown ──load──▶ fresh ──ttlMs──▶ old ──load──▶ fresh
 *                       │               └──load fails in an outage──▶ old values serve until maxStalenessMs
 *                       └──invalidate, clear──▶ unknown
 *
 * - Callers that need a key at the same time share one load.
 * - The result of a load that began before an invalidation is not kept. Its callers wait for a newer load.
 * - Keys without a value are kept for `negativeTtlMs`, separately from the values, so that guessed keys displace no value.
 */
export class FreshCache<By, V extends object> {
  readonly #options: FreshCacheOptions<By, V>
  readonly #clock: Clock
  readonly #entries: LRUCache<string, Entry<V>>
  readonly #idByKey = new Map<string, string>()
  /** Keys without a value, and when that was found. */
  readonly #absent: LRUCache<string, number>
  readonly #flights = new Set<Flight>()
  readonly #loads = new SingleFlight<V | null>()
  #generation = 0
  #confirmedAt = Number.NEGATIVE_INFINITY
  /** When a load last failed because the source could not be reached. Null after a load that succeeded. */
  #failedAt: number | null = null

  constructor(options: FreshCacheOptions<By, V>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#absent = new LRUCache(atMost(options.max))
    this.#entries = new LRUCache({ ...atMost(options.max), dispose: (entry, id) => this.#unlink(entry, id) })
  }

  /** The value with this id, if it is fresh. Never waits: this is the warm path. */
  peekById(id: string): V | undefined {
    const entry = this.#entries.get(id)
    return entry !== undefined && this.#isFresh(entry, this.#now()) ? entry.value : undefined
  }

  /** As `peekById`, by another key of the value. */
  peekByKey(key: string): V | undefined {
    const id = this.#idByKey.get(key)
    return id === undefined ? undefined : this.peekById(id)
  }

  /** The result of `find`, if it is known without waiting. Otherwise undefined. */
  peek(by: By): V | null | undefined {
    const key = this.#options.keyOf(by)
    const now = this.#now()
    const entry = this.#entryOf(key)
    if (entry !== undefined && this.#isFresh(entry, now)) return entry.value
    if (entry !== undefined && this.#mayServeOld(entry, now)) {
      if (this.#options.retry === 'background') this.#retry(entry, by)
      return entry.value
    }
    return this.#isAbsent(key, now) ? null : undefined
  }

  /**
   * The value, or null if there is none.
   *
   * @throws the error of `load`, if no old value may be used.
   */
  async find(by: By): Promise<V | null> {
    const known = this.peek(by)
    if (known !== undefined) return known
    const key = this.#options.keyOf(by)
    return this.#loads.run(key, () => this.#load(key, by))
  }

  /** True if `value` is the one kept under this id, so it was not invalidated. It may be too old to be used. */
  keeps(id: string, value: V): boolean {
    return this.#entries.peek(id)?.value === value
  }

  /** Grows whenever the cache removes or replaces a value. While it is the same, the cache still has every value that it had. */
  get generation(): number {
    return this.#generation
  }

  /** The number of values kept. */
  get size(): number {
    return this.#entries.size
  }

  /** Removes the value with this id, also if it is being loaded. */
  invalidate(id: string): void {
    this.#entries.delete(id)
    // The id may belong to a new value, and it is not known which of these keys lead to it.
    this.#absent.clear()
    for (const flight of this.#flights) {
      if (flight.key !== id && this.#options.isId?.(flight.key)) continue
      flight.invalidated.add(id)
      this.#loads.forget(flight.key)
    }
  }

  /** Removes everything. Call this when changes may have been missed. */
  clear(): void {
    this.#entries.clear()
    this.#absent.clear()
    for (const flight of this.#flights) {
      flight.cleared = true
      this.#loads.forget(flight.key)
    }
  }

  /** Call this when every change up to now was applied, so that each kept value is the same as in the source. */
  confirm(): void {
    this.#confirmedAt = this.#now()
  }

  async #load(key: string, by: By): Promise<V | null> {
    const flight: Flight = { key, invalidated: new Set(), cleared: false }
    this.#flights.add(flight)
    const begunAt = this.#now()
    try {
      const value = await this.#options.load(by)
      this.#failedAt = null
      // Callers that asked before the invalidation get the newer value, too.
      if (value !== null && this.#isOvertaken(flight, this.#options.idOf(value, by)))
        return await this.find(by)
      this.#keep(flight, value, { by, begunAt })
      return value
    } catch (error) {
      return this.#oldOr(error, key)
    } finally {
      this.#flights.delete(flight)
    }
  }

  #isOvertaken({ cleared, invalidated }: Flight, id: string): boolean {
    return cleared || invalidated.has(id)
  }

  #keep({ key, cleared, invalidated }: Flight, value: V | null, read: { by: By; begunAt: number }): void {
    const { by, begunAt } = read
    if (value === null) {
      // An id that was invalidated during the load may belong to a new value of this key.
      if (cleared || invalidated.size > 0) return
      this.#entries.delete(this.#idByKey.get(key) ?? key)
      this.#absent.set(key, begunAt)
      return
    }
    const { idOf, keysOf } = this.#options
    const id = idOf(value, by)
    const keys = keysOf?.(value, by) ?? []
    this.#entries.set(id, { value, keys, loadedAt: begunAt, failedAt: null })
    for (const one of keys) this.#idByKey.set(one, id)
    for (const one of [id, ...keys]) this.#absent.delete(one)
  }

  #oldOr(error: unknown, key: string): V {
    if (!this.#options.isOutage(error)) throw error
    const now = this.#now()
    const entry = this.#entryOf(key)
    this.#noteOutage(entry, now)
    if (entry === undefined || !this.#mayServeOld(entry, now)) throw error
    return entry.value
  }

  #retry(entry: Entry<V>, by: By): void {
    const now = this.#now()
    if (now - (this.#failedAtOf(entry) ?? now) < OUTAGE_PAUSE_MS) return
    this.#noteOutage(entry, now)
    const key = this.#options.keyOf(by)
    this.#loads.run(key, () => this.#load(key, by)).catch(() => undefined)
  }

  #noteOutage(entry: Entry<V> | undefined, now: number): void {
    this.#failedAt = now
    if (entry !== undefined) entry.failedAt = now
  }

  #failedAtOf(entry: Entry<V>): number | null {
    return this.#options.outageOf === 'all' ? this.#failedAt : entry.failedAt
  }

  #isFresh(entry: Entry<V>, now: number): boolean {
    if (now - entry.loadedAt >= this.#options.ttlMs) return false
    return this.#options.needsConfirmation !== true || this.#isWithinStaleness(entry, now)
  }

  #mayServeOld(entry: Entry<V>, now: number): boolean {
    const failedAt = this.#failedAtOf(entry)
    if (failedAt === null || !this.#isWithinStaleness(entry, now)) return false
    return this.#options.retry === 'background' || now - failedAt < OUTAGE_PAUSE_MS
  }

  #isWithinStaleness({ loadedAt }: Entry<V>, now: number): boolean {
    return now - Math.max(loadedAt, this.#confirmedAt) < this.#options.maxStalenessMs
  }

  #isAbsent(key: string, now: number): boolean {
    const since = this.#absent.get(key)
    return since !== undefined && now - since < (this.#options.negativeTtlMs ?? NEGATIVE_TTL_MS)
  }

  #entryOf(key: string): Entry<V> | undefined {
    return this.#entries.get(this.#idByKey.get(key) ?? key)
  }

  #unlink({ keys }: Entry<V>, id: string): void {
    this.#generation += 1
    for (const key of keys) {
      // A key that now leads to another value stays.
      if (this.#idByKey.get(key) === id) this.#idByKey.delete(key)
    }
  }

  #now(): number {
    return this.#clock.monotonic()
  }
}
