import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { RouteChangedError } from '../pools/route-changed.ts'

/** What a session needs to know of routes. */
export interface RouteSource {
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'generation' | 'holds'>
  /** Whether the directory may be used without asking the catalog. */
  readonly freshness: Freshness
  /** The route of the same tenant, read again if `stale` is what the directory has. Null if the tenant is gone. */
  refresh(stale: Route): Promise<Route | null>
}

/** A route that was the current one at a certain moment, and a check that it still is. */
export class CurrentRoute {
  readonly route: Route
  readonly #source: RouteSource
  readonly #generation: number
  readonly #lapses: number

  constructor(route: Route, source: RouteSource) {
    this.route = route
    this.#source = source
    this.#generation = source.directory.generation
    this.#lapses = source.freshness.lapses
  }

  /**
   * To be called just before the first statement is sent along the route.
   * @throws RouteChangedError if a change was heard of, or could not have been heard of
   */
  assertCurrent(): void {
    const { directory, freshness } = this.#source
    const isHeld = this.#generation === directory.generation || directory.holds(this.route)
    if (isHeld && !freshness.isOver) return
    throw new RouteChangedError()
  }

  /**
   * To be called before a transaction commits: it may have begun long ago. Waits while no change could be heard of.
   * @throws PublicError CATALOG_UNAVAILABLE if changes were missed since the beginning
   */
  async assertNoChangeMissed(): Promise<void> {
    const { freshness } = this.#source
    while (freshness.isOver) await freshness.renew()
    if (freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }
}
