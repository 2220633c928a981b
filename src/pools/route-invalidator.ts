import { setTimeout as delay } from 'node:timers/promises'
import type { RouteDirectory } from '../catalog/directory.ts'
import type { PoolManager } from './pool-manager.ts'

export interface RouteInvalidatorOptions {
  readonly directory: Pick<RouteDirectory, 'byId' | 'invalidate' | 'clear'>
  readonly pools: Pick<PoolManager, 'owners' | 'hasPools' | 'retireAllBut'>
  /** How long `forget` waits for the requests that began with the old route. */
  readonly drainTimeoutMs: number
}

/** Takes changed routes out of use: at once for new requests. Tells when the requests that began before have ended. */
export class RouteInvalidator {
  readonly #options: RouteInvalidatorOptions
  /** A change is received more than once (the replica that made it knows it first); all wait for the same end. */
  readonly #draining = new Map<string, Promise<void>>()

  constructor(options: RouteInvalidatorOptions) {
    this.#options = options
  }

  /**
   * Drops the tenant's route from memory. A pool that the new route does not lead to closes when its requests have ended. The
   * pool of the current database stays: while a password is changed, no other connections can be opened.
   *
   * Resolves when no request uses the old pool, or after `drainTimeoutMs`. Null if there is nothing to wait for.
   */
  forget(tenantId: string): Promise<void> | null {
    const { directory, pools } = this.#options
    directory.invalidate(tenantId)
    if (!pools.hasPools(tenantId)) return this.#draining.get(tenantId) ?? null
    return this.#drain(tenantId, this.#retire(tenantId))
  }

  /**
   * The same for all tenants, when changes were missed. No pool stays: the same entry with the same version may mean another
   * database now.
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

  /** By the route in the catalog, not by the one in memory: that one may be dropped, or new already. */
  async #retire(tenantId: string): Promise<void> {
    const { directory, pools } = this.#options
    const route = await directory.byId(tenantId).catch(() => null)
    const database = route?.status === 'ACTIVE' ? route.database : null
    await pools.retireAllBut(tenantId, database?.status === 'active' ? database : null)
  }
}
