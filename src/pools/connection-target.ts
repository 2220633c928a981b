import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'

/** What a session needs to know of routes: the present one, and a way to say that it was found wrong. */
export interface RouteSource {
  /** The route as it stands now, if it is at hand. */
  peek(tenantId: string): Route | undefined
  /** The same, read where it is not at hand. Null if the tenant is gone. */
  find(tenantId: string): Promise<Route | null>
  /** The same, read anew if `stale` is what would have been given. */
  refresh(stale: Route): Promise<Route | null>
  /** Stands still for as long as no route at all is forgotten. */
  readonly generation: number
  /** False once a change of its tenant has been heard of since `route` was read. */
  holds(route: Route): boolean
  /** Whether all this may be used without asking the catalog. */
  readonly freshness: Freshness
}

/** The tenant's route was changed between the look at it and the statement, of which nothing was sent. */
export class RouteChangedError extends Error {
  override readonly name = 'RouteChangedError'

  constructor() {
    super('the route has changed')
  }
}

/** A route that was the present one at a certain moment, and a way to know whether it still is. */
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
   * @throws RouteChangedError once a change has been heard of, or none could have been: from then on nothing may be sent along
   *   this route.
   */
  assertCurrent(): void {
    const isHeld = this.#generation === this.#source.generation || this.#source.holds(this.route)
    if (isHeld && !this.#source.freshness.isOver) return
    throw new RouteChangedError()
  }

  /**
   * For what began long ago and is to be made to last: waits where no change could have been heard of.
   * @throws PublicError CATALOG_UNAVAILABLE where changes were missed meanwhile
   */
  async assertNoChangeMissed(): Promise<void> {
    const { freshness } = this.#source
    while (freshness.isOver) await freshness.renew()
    if (freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }
}
