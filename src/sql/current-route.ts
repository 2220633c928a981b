import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { RouteChangedError } from '../pools/route-changed.ts'
import { TenantCheck } from '../pools/wire/tenant-unit.ts'

/** Where a session gets routes. */
export interface RouteSource {
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'generation' | 'holds'>
  /** Tells whether the directory may be used without asking the catalog. */
  readonly freshness: Freshness
  /** The tenant's route. It is read again if the directory still has `stale`. Null if the tenant is gone. */
  refresh(stale: Route): Promise<Route | null>
}

const tenantChecks = new WeakMap<Route, TenantCheck>()

/** The tenant check of a route, made once for each route. */
export function tenantCheckOf(route: Route): TenantCheck {
  const known = tenantChecks.get(route)
  if (known !== undefined) return known
  const tenantCheck = new TenantCheck(route)
  tenantChecks.set(route, tenantCheck)
  return tenantCheck
}

/** A route that was current when this object was created. Checks whether it still is. */
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
   * Call just before the first statement is sent.
   * @throws RouteChangedError if the route has changed, or a change may have been missed
   */
  assertCurrent(): void {
    const { directory, freshness } = this.#source
    const isHeld = this.#generation === directory.generation || directory.holds(this.route)
    if (isHeld && !freshness.isOver) return
    throw new RouteChangedError()
  }

  /**
   * Call before a transaction commits, because it may have begun long ago. Waits until this process hears of changes again.
   * @throws PublicError CATALOG_UNAVAILABLE if changes may have been missed since this object was created
   */
  async assertNoChangeMissed(): Promise<void> {
    const { freshness } = this.#source
    while (freshness.isOver) await freshness.renew()
    if (freshness.lapses !== this.#lapses) throw fail('CATALOG_UNAVAILABLE')
  }
}
