import { setTimeout as delay } from 'node:timers/promises'
import type { RouteDatabase, RouteDirectory } from '../catalog/directory.ts'
import type { PoolManager } from './pool-manager.ts'

export interface RouteKeeperOptions {
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'invalidate'>
  readonly pools: Pick<PoolManager, 'retire'>
  /** How long `forget` waits for what was begun along the old route. */
  readonly drainTimeoutMs: number
}

/** Takes changed routes out of use: at once for whatever begins from here on, and tells when what was begun has ended. */
export class RouteKeeper {
  readonly #options: RouteKeeperOptions
  /** A change is heard of more than once (its maker knows it first); all wait for the same end. */
  readonly #draining = new Map<string, Promise<void>>()

  constructor(options: RouteKeeperOptions) {
    this.#options = options
  }

  /**
   * Forgets the tenant's route. A pool to which it no longer leads closes when those who use it are done; one to which it
   * still does stays: while a password is changed, its connections are the only ones that can be had.
   *
   * Resolves when nobody uses the pool that was left, after seconds in any case; null where there is nothing to wait for.
   */
  forget(tenantId: string): Promise<void> | null {
    const { directory, drainTimeoutMs } = this.#options
    const database = directory.peekById(tenantId)?.database
    directory.invalidate(tenantId)
    if (!database) return this.#draining.get(tenantId) ?? null
    const drained = Promise.all([this.#draining.get(tenantId), this.#retire(tenantId, database)])
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

  async #retire(tenantId: string, database: RouteDatabase): Promise<void> {
    const { directory, pools } = this.#options
    const route = await directory.byId(tenantId).catch(() => null)
    if (route?.status === 'ACTIVE' && isServing(route.database, database)) return
    await pools.retire(database)
  }
}

function isServing(now: RouteDatabase | null, before: RouteDatabase): boolean {
  const isSame =
    now?.id === before.id &&
    now.version === before.version &&
    now.databaseOid === before.databaseOid &&
    now.systemIdentifier === before.systemIdentifier
  return isSame && now.status === 'active'
}
