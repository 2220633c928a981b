import { type Clock, systemClock } from '../clock.ts'
import { NEVER_USED, withUses } from './use-score.ts'

interface Entry<V> {
  readonly key: string
  readonly value: V
  leases: number
  score: number
  retired: boolean
  readonly closed: PromiseWithResolvers<void>
}

/** A leased value is not closed. A second `release` does nothing. */
export interface Lease<V> {
  readonly value: V
  release(): void
}

export interface LeaseCacheOptions<V> {
  /** How many values that take a place may stay in the map while they are not used. */
  readonly max: number
  readonly close: (value: V) => Promise<void>
  /** Called for a value that leaves the map while it is leased. */
  readonly onRetired?: (value: V) => void
  /** Absent: every value takes a place. */
  readonly takesPlace?: (value: V) => boolean
  /** True if so many leases mean that the value is used now. Absent: one is enough. */
  readonly isUsed?: (value: V, leases: number) => boolean
  readonly clock?: Clock
}

/** Of so many values for each place, the cache remembers how often they were used before they left. */
const REMEMBERED = 8

/**
 * A cache of values that must be closed, but never while they are leased. To close a value, the cache removes it from the map, and
 * closes it when its last lease is released. A caller that needs the key in between gets a new value, and no value is closed twice.
 * If more values take a place than allowed, those leave that were used least often lately, as soon as they are not used.
 */
export class LeaseCache<V> {
  readonly #options: LeaseCacheOptions<V>
  readonly #clock: Clock
  readonly #entries = new Map<string, Entry<V>>()
  /** The scores of values that have left, the oldest first. A value that comes back continues with its score. */
  readonly #former = new Map<string, number>()
  readonly #retired = new Set<Entry<V>>()
  #isClosed = false

  constructor(options: LeaseCacheOptions<V>) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  /** Leases the value of `key`; `create` makes it if there is none. Synchronous, so that no value is made twice. */
  acquire(key: string, create: () => V): Lease<V> {
    const known = this.#entries.get(key)
    const entry = known ?? this.#add(key, create())
    this.#noteUses(entry, 1)
    const lease = this.#lease(entry)
    if (this.#isClosed) this.#remove(entry)
    else if (known === undefined) this.#shed()
    return lease
  }

  /** The value of `key` if there is one, without a lease. Counts as so many uses. */
  use(key: string, uses = 1): V | undefined {
    const entry = this.#entries.get(key)
    if (entry !== undefined) this.#noteUses(entry, uses)
    return entry?.value
  }

  /** The value of `key` if there is one, without a lease and without counting as a use. */
  peek(key: string): V | undefined {
    return this.#entries.get(key)?.value
  }

  /** Takes a value out of the map. Resolves when its leases are released and it is closed. */
  evict(key: string): Promise<void> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return Promise.resolve()
    this.#remove(entry)
    return entry.closed.promise
  }

  /** All values: first those that are retired and not closed yet, then those first that were used least often lately. */
  leastUsed(): V[] {
    const entries = [...this.#entries.values()].sort((a, b) => a.score - b.score)
    return [...this.#retired, ...entries].map(({ value }) => value)
  }

  get size(): number {
    return this.#entries.size
  }

  /** Retires all values, and from now on each new one as soon as it is leased. Resolves when all are closed. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const entry of this.#entries.values()) this.#remove(entry)
    while (this.#retired.size > 0) await Promise.all([...this.#retired].map(({ closed }) => closed.promise))
  }

  #add(key: string, value: V): Entry<V> {
    const score = this.#former.get(key) ?? NEVER_USED
    this.#former.delete(key)
    const entry = { key, value, leases: 0, score, retired: false, closed: Promise.withResolvers<void>() }
    this.#entries.set(key, entry)
    return entry
  }

  #noteUses(entry: Entry<V>, uses: number): void {
    entry.score = withUses(entry.score, uses, this.#clock.monotonic())
  }

  #lease(entry: Entry<V>): Lease<V> {
    entry.leases += 1
    let released = false
    return {
      value: entry.value,
      release: () => {
        if (released) return
        released = true
        entry.leases -= 1
        if (entry.retired && entry.leases === 0) this.#finish(entry)
        this.#shed()
      },
    }
  }

  /** Removes values that are too many. */
  #shed(): void {
    while (this.#entries.size > this.#options.max) {
      const entry = this.#findSuperfluous()
      if (entry === undefined) return
      this.#remove(entry)
    }
  }

  #findSuperfluous(): Entry<V> | undefined {
    const { max, takesPlace = () => true, isUsed = () => true } = this.#options
    let taken = 0
    let least: Entry<V> | undefined
    for (const entry of this.#entries.values()) {
      const isFree = entry.leases === 0 || !isUsed(entry.value, entry.leases)
      const hasPlace = takesPlace(entry.value)
      if (isFree && !hasPlace) return entry
      if (hasPlace) taken += 1
      if (isFree && (least === undefined || entry.score < least.score)) least = entry
    }
    return taken > max ? least : undefined
  }

  #remove(entry: Entry<V>): void {
    this.#entries.delete(entry.key)
    this.#remember(entry)
    entry.retired = true
    this.#retired.add(entry)
    if (entry.leases === 0) this.#finish(entry)
    else this.#options.onRetired?.(entry.value)
  }

  #remember({ key, score }: Entry<V>): void {
    this.#former.set(key, score)
    if (this.#former.size <= REMEMBERED * this.#options.max) return
    for (const oldest of this.#former.keys()) {
      this.#former.delete(oldest)
      return
    }
  }

  #finish(entry: Entry<V>): void {
    const closing = this.#options.close(entry.value).catch(() => undefined)
    void closing.then(() => {
      this.#retired.delete(entry)
      entry.closed.resolve()
    })
  }
}
