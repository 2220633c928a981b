import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import type { RouteSource } from '../pools/connection-target.ts'
import type { PoolManager } from '../pools/pool-manager.ts'
import type { TenantSession } from './session.ts'
import { RoutedSession, type SessionOptions } from './tenant-session.ts'

export interface TenantSessionsOptions {
  readonly directory: Pick<RouteDirectory, 'peekById' | 'byId' | 'generation' | 'holds'>
  readonly freshness: Freshness
  /** Forgets a tenant's route, and closes the pool to which it leads no longer. */
  readonly forget: (tenantId: string) => void
  readonly pools: PoolManager
  readonly fenceTimeoutMs: number
  readonly onStuck: (tenantId: string) => void
  /** Whether the database that a route leads to lacks migrations of this release. */
  readonly isBehind?: (route: Route) => boolean
}

interface Opened {
  readonly session: TenantSession
  readonly lapses: number
}

export interface OpenOptions {
  /**
   * SQL of an application is to run on the session, and with it whatever was injected into that. What it leaves on a
   * connection is cleaned away before the connection is lent again; sessions of the core's own statements save that.
   */
  readonly ownSql?: boolean
}

/**
 * One session a route, shared by all requests that go along it: a session holds no connection, so it can be. It is for what
 * begins now; after changes were missed it serves nobody any more, and who is let in then gets a new one.
 */
export class TenantSessions {
  readonly #options: SessionOptions
  readonly #sessions = { core: new WeakMap<Route, Opened>(), ownSql: new WeakMap<Route, Opened>() }

  constructor(options: TenantSessionsOptions) {
    const { pools, fenceTimeoutMs, onStuck, isBehind, ...source } = options
    const common = { pools, fenceTimeoutMs, onStuck, ...(isBehind && { isBehind }) }
    this.#options = { ...common, routes: sourceOf(source) }
  }

  open(route: Route, { ownSql = false }: OpenOptions = {}): TenantSession {
    const sessions = ownSql ? this.#sessions.ownSql : this.#sessions.core
    const known = sessions.get(route)
    const { lapses } = this.#options.routes.freshness
    if (known?.lapses === lapses) return known.session
    const session = new RoutedSession(route, { ...this.#options, ownSql })
    sessions.set(route, { session, lapses })
    return session
  }

  /** For a tenant that is just being made: the catalog knows nothing of it, so the route is what the caller says it is. */
  openUnlisted(route: Route): TenantSession {
    const same = async () => route
    const { freshness } = this.#options.routes
    const routes = {
      peek: () => route,
      find: same,
      refresh: same,
      generation: 0,
      holds: () => true,
      freshness,
    }
    return new RoutedSession(route, { ...this.#options, routes })
  }
}

function sourceOf({
  directory,
  freshness,
  forget,
}: Pick<TenantSessionsOptions, 'directory' | 'freshness' | 'forget'>): RouteSource {
  return {
    freshness,
    peek: (tenantId) => directory.peekById(tenantId),
    find: (tenantId) => directory.byId(tenantId),
    holds: (route) => directory.holds(route),
    get generation() {
      return directory.generation
    },
    refresh: (stale) => {
      // Only the first who finds a route wrong has it read anew; the others wait for the same reading.
      if (directory.peekById(stale.tenantId) === stale) forget(stale.tenantId)
      return directory.byId(stale.tenantId)
    },
  }
}
