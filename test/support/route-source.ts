import type { Freshness } from '../../src/catalog/changes/freshness.ts'
import type { Route } from '../../src/catalog/directory.ts'
import type { RouteSource } from '../../src/sql/current-route.ts'

/** As of a process that never stood still. */
export const ALWAYS_FRESH: Freshness = { isOver: false, lapses: 0, renew: async () => undefined }

/** A catalog of one tenant. `refresh` says what stands there once a session has found its route wrong. */
export function routeSource(
  route: Route,
  refresh: (stale: Route) => Promise<Route | null> = async (stale) => stale,
): RouteSource {
  let present: Route | null = route
  return {
    directory: {
      peekById: () => present ?? undefined,
      byId: async () => present,
      generation: 0,
      holds: () => true,
    },
    refresh: async (stale) => {
      present = await refresh(stale)
      return present
    },
    freshness: ALWAYS_FRESH,
  }
}
