import { LRUCache } from 'lru-cache'

interface Entry<V> {
  readonly value: V
  leases: number
  retired: boolean
  readonly closed: PromiseWithResolvers<void>
}

/** A leased value is not closed. A second `release` does nothing. */
export interface Lease<V> {
  readonly value: V
  release(): void
}

/**
 * An LRU of values that must be closed, but never while they are leased. To close a value, the cache removes it from the map, and
 * closes it when its last lease is released. A caller that needs the key in between gets a new value, and no value is closed twice.
 */
export class LeaseCache<V> {
  readonly #entries: LRUCache<string, Entry<V>>
  readonly #close: (value: V) => Promise<void>
  readonly #onRetired: (value: V) => void
  readonly #retired = new Set<Entry<V>>()
  #isClosed = false

  /** `onRetired` is called for a value that leaves the map while it is leased. */
  constructor(
    max: number,
    close: (value: V) => Promise<void>,
    onRetired: (value: V) => void = () => undefined,
  ) {
    this.#close = close
    this.#onRetired = onRetired
    this.#entries = new LRUCache<string, Entry<V>>({
      max,
      dispose: (entry) => this.#retire(entry),
    })
  }

  /** Leases the value of `key`; `create` makes it if there is none. Synchronous, so that no value is made twice. */
  acquire(key: string, create: () => V): Lease<V> {
    let entry = this.#entries.get(key)
    if (entry === undefined) {
      entry = { value: create(), leases: 0, retired: false, closed: Promise.withResolvers() }
      this.#entries.set(key, entry)
    }
    const lease = this.#lease(entry)
    if (this.#isClosed) this.#entries.delete(key)
    return lease
  }

  /** The value of `key` if there is one, without a lease. Counts as a use. */
  use(key: string): V | undefined {
    return this.#entries.get(key)?.value
  }

  /** The value of `key` if there is one, without a lease and without counting as a use. */
  peek(key: string): V | undefined {
    return this.#entries.peek(key)?.value
  }

  /** Takes a value out of the map. Resolves when its leases are released and it is closed. */
  evict(key: string): Promise<void> {
    const entry = this.#entries.peek(key)
    this.#entries.delete(key)
    return entry === undefined ? Promise.resolve() : entry.closed.promise
  }

  /** All values: first those that are retired and not closed yet, then the least recently used first. */
  *leastRecentlyUsed(): Generator<V> {
    for (const entry of this.#retired) yield entry.value
    for (const entry of this.#entries.rvalues()) if (entry !== undefined) yield entry.value
  }

  get size(): number {
    return this.#entries.size
  }

  /** Retires all values, and from now on each new one as soon as it is leased. Resolves when all are closed. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#entries.clear()
    while (this.#retired.size > 0) await Promise.all([...this.#retired].map(({ closed }) => closed.promise))
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
      },
    }
  }

  #retire(entry: Entry<V>): void {
    entry.retired = true
    this.#retired.add(entry)
    if (entry.leases === 0) this.#finish(entry)
    else this.#onRetired(entry.value)
  }

  #finish(entry: Entry<V>): void {
    const closing = this.#close(entry.value).catch(() => undefined)
    void closing.then(() => {
      this.#retired.delete(entry)
      entry.closed.resolve()
    })
  }
}
