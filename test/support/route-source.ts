import type { Freshness } from '../../src/catalog/changes/freshness.ts'
import type { Route } from '../../src/catalog/directory.ts'
import type { RouteSource } from '../../src/sql/current-route.ts'

/** The freshness of a process that never paused. */
export const ALWAYS_FRESH: Freshness = { isOver: false, lapses: 0, renew: async () => undefined }

/** A catalog with one tenant. `refresh` returns its route after a session has found its own route wrong. */
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
