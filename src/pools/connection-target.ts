import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'

/** What a session needs of routes: the current one, and a way to report that it was wrong. */
export interface RouteSource {
  /** The current route, if it is in memory. */
  peek(tenantId: string): Route | undefined
  /** The current route, read from the catalog if it is not in memory. Null if the tenant is gone. */
  find(tenantId: string): Promise<Route | null>
  /** The same, but read again if it would be `stale`. */
  refresh(stale: Route): Promise<Route | null>
  /** Changes whenever a route is dropped from memory. */
  readonly generation: number
  /** False if a change of its tenant was received since `route` was read. */
  holds(route: Route): boolean
  /** Whether routes in memory may be used without asking the catalog. */
  readonly freshness: Freshness
}

/** The tenant's route was changed after it was read. Nothing of the statement was sent. */
export class RouteChangedError extends Error {
  override readonly name = 'RouteChangedError'

  constructor() {
    super('the route has changed')
  }
}

/** The route that a session connects along, with a check that it is still the current one. */
export class ConnectionTarget {
  readonly route: Route
  readonly #source: RouteSource
  readonly #generation: number
  readonly #lapses: number

  constructor(route: Route, source: RouteSource) {
    this.route = route
    this.#source = source
    this.#generation = source.generation
    this.#lapses = source.freshness.lapses
  }

  /**
   * @throws RouteChangedError if a change was received since, or could not have been received: then nothing may be sent along
   *   this route any more.
   */
  assertCurrent(): void {
    const isHeld = this.#generation === this.#source.generation || this.#source.holds(this.route)
    if (isHeld && !this.#source.freshness.isOver) return
    throw new RouteChangedError()
  }

  /**
   * Before the COMMIT of a transaction that may have begun long ago. Waits while no change could be received.
   * @throws PublicError CATALOG_UNAVAILABLE if changes were missed since the route was read
   */
  async assertNoChangeMissed(): Promise<void> {
    const { freshness } = this.#source
    while (freshness.isOver) await freshness.renew()
    if (freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }
}
