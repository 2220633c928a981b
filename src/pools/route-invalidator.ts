import { setTimeout as delay } from 'node:timers/promises'
import type { RouteDirectory } from '../catalog/directory.ts'
import type { PoolManager } from './pool-manager.ts'

export interface RouteInvalidatorOptions {
  readonly directory: Pick<RouteDirectory, 'byId' | 'invalidate' | 'clear'>
  readonly pools: Pick<PoolManager, 'owners' | 'hasPools' | 'retireAllBut'>
  /** How long `forget` waits for the requests that began with the old route. */
  readonly drainTimeoutMs: number
}

/** Takes changed routes out of use. New requests use the new route at once; requests that began before may end on the old one. */
export class RouteInvalidator {
  readonly #options: RouteInvalidatorOptions
  /** By tenant. A replica hears of its own change twice; both times it waits for the same requests. */
  readonly #draining = new Map<string, Promise<void>>()

  constructor(options: RouteInvalidatorOptions) {
    this.#options = options
  }

  /**
   * Drops the tenant's route from memory. A pool that the new route does not use closes when its requests have ended. The pool of
   * the current database stays, because no new connections can be opened while its password is being changed.
   *
   * Resolves when no request uses an old pool, or after `drainTimeoutMs`. Null if there is nothing to wait for.
   */
  forget(tenantId: string): Promise<void> | null {
    const { directory, pools } = this.#options
    directory.invalidate(tenantId)
    if (!pools.hasPools(tenantId)) return this.#draining.get(tenantId) ?? null
    return this.#drain(tenantId, this.#retire(tenantId))
  }

  /**
   * Does the same for all tenants. Call when changes were missed. No pool stays, because the same entry with the same version may
   * mean another database now.
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

  /** Reads the new route, and retires every pool that it does not use. */
  async #retire(tenantId: string): Promise<void> {
    const { directory, pools } = this.#options
    const route = await directory.byId(tenantId).catch(() => null)
    const database = route?.status === 'ACTIVE' ? route.database : null
    await pools.retireAllBut(tenantId, database?.status === 'active' ? database : null)
  }
}
