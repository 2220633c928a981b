import type pg from 'pg'

interface TenantPool {
  readonly pool: pg.Pool
  /** Requests that use it now. */
  uses: number
}

export interface TenantPoolsOptions {
  readonly maxPools: number
  readonly createPool: (tenantId: string) => Promise<pg.Pool>
}

/**
 * A pg pool for each tenant. If there are as many as allowed, a new one takes the place of the least recently used pool that no
 * request uses. If all are in use, it takes the place of the next one that no request uses any more.
 */
export class TenantPools {
  readonly #createPool: TenantPoolsOptions['createPool']
  /** In the order of their last use. */
  readonly #pools = new Map<string, TenantPool>()
  readonly #opening = new Map<string, Promise<void>>()
  readonly #waiting: (() => void)[] = []
  #free: number

  constructor({ maxPools, createPool }: TenantPoolsOptions) {
    this.#free = maxPools
    this.#createPool = createPool
  }

  async use<T>(tenantId: string, work: (pool: pg.Pool) => Promise<T>): Promise<T> {
    let lent = this.#lend(tenantId)
    while (lent === null) {
      await this.#open(tenantId)
      lent = this.#lend(tenantId)
    }
    try {
      return await work(lent.pool)
    } finally {
      lent.uses -= 1
      const next = lent.uses === 0 ? this.#waiting.shift() : undefined
      if (next !== undefined) void this.#close(tenantId, lent).then(next)
    }
  }

  #lend(tenantId: string): TenantPool | null {
    const found = this.#pools.get(tenantId)
    if (found === undefined) return null
    found.uses += 1
    this.#pools.delete(tenantId)
    this.#pools.set(tenantId, found)
    return found
  }

  /** Requests that need the same pool wait for the same promise. */
  #open(tenantId: string): Promise<void> {
    const known = this.#opening.get(tenantId)
    if (known !== undefined) return known
    const opening = this.#openNow(tenantId).finally(() => this.#opening.delete(tenantId))
    this.#opening.set(tenantId, opening)
    return opening
  }

  async #openNow(tenantId: string): Promise<void> {
    await this.#makeRoom()
    try {
      this.#pools.set(tenantId, { pool: await this.#createPool(tenantId), uses: 0 })
    } catch (error) {
      this.#free += 1
      throw error
    }
  }

  async #makeRoom(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1
      return
    }
    for (const [tenantId, candidate] of this.#pools) {
      if (candidate.uses > 0) continue
      await this.#close(tenantId, candidate)
      return
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  async #close(tenantId: string, { pool }: TenantPool): Promise<void> {
    this.#pools.delete(tenantId)
    await pool.end()
  }
}
