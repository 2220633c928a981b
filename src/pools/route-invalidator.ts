import { setTimeout as delay } from 'node:timers/promises'
import type { RouteDirectory } from '../catalog/directory.ts'
import type { PoolManager } from './pool-manager.ts'

export interface RouteInvalidatorOptions {
  readonly directory: Pick<RouteDirectory, 'byId' | 'invalidate' | 'clear'>
  readonly pools: Pick<PoolManager, 'owners' | 'hasPools' | 'retireAllBut'>
  /** How long `forget` waits for what was begun along the old route. */
  readonly drainTimeoutMs: number
}

/** Takes changed routes out of use: at once for whatever begins from here on, and tells when what was begun has ended. */
export class RouteInvalidator {
  readonly #options: RouteInvalidatorOptions
  /** A change is heard of more than once (its maker knows it first); all wait for the same end. */
  readonly #draining = new Map<string, Promise<void>>()

  constructor(options: RouteInvalidatorOptions) {
    this.#options = options
  }

  /**
   * Forgets the tenant's route. A pool to which it no longer leads closes when those who use it are done; one to which it
   * still does stays: while a password is changed, its connections are the only ones that can be had.
   *
   * Resolves when nobody uses the pool that was left, after seconds in any case; null where there is nothing to wait for.
   */
  forget(tenantId: string): Promise<void> | null {
    const { directory, pools } = this.#options
    directory.invalidate(tenantId)
    if (!pools.hasPools(tenantId)) return this.#draining.get(tenantId) ?? null
    return this.#drain(tenantId, this.#retire(tenantId))
  }

  /**
   * The same for all tenants, when changes were missed. No pool stays: what an entry of the catalog and its version named
   * before may be another database now.
   */
  async forgetAll(): Promise<void> {
    const { directory, pools } = this.#options
    directory.clear()
    await Promise.all(pools.owners.map((id) => this.#drain(id, pools.retireAllBut(id, null))))
  }

  #drain(tenantId: string, retired: Promise<void>): Promise<void> {
    const { drainTimeoutMs } = this.#options
    const drained = Promise.all([this.#draining.get(tenantId), retired])
    const timeout = new AbortController()
    const late = delay(drainTimeoutMs, undefined, { signal: timeout.signal, ref: false }).catch(
      () => undefined,
    )
    const waiting: Promise<void> = Promise.race([drained, late]).then(() => {
      timeout.abort()
      if (this.#draining.get(tenantId) === waiting) this.#draining.delete(tenantId)
    })
    this.#draining.set(tenantId, waiting)
    return waiting
  }

  /** By what the catalog says now, and not by the route that was known: that one may have been forgotten, or new already. */
  async #retire(tenantId: string): Promise<void> {
    const { directory, pools } = this.#options
    const route = await directory.byId(tenantId).catch(() => null)
    const database = route?.status === 'ACTIVE' ? route.database : null
    await pools.retireAllBut(tenantId, database?.status === 'active' ? database : null)
  }
}
