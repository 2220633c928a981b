import type { FastifyRequest } from 'fastify'
import type { Route } from '../catalog/directory.ts'
import type { Principal, UnresolvedIdentity } from '../identity/callers/principal.ts'
import type { Allowance } from '../lib/rate-limiter.ts'
import type { Access } from './access.ts'
import type { HttpDeps } from './deps.ts'

/** What the gates set, one after the other, for a request. */
export interface RequestState {
  readonly request: FastifyRequest
  readonly deps: HttpDeps
  readonly access: Access
  principal: Principal | null
  /** `freshness.lapses` when the gates passed the request. A later value means that the gates may have read old state. */
  lapses: number
  /** A caller whose token does not name its tenant or its rights there. `resolveTenant` makes it the principal. */
  unresolved: UnresolvedIdentity | null
  /** The tenant that the request works in. */
  route: Route | null
  /** The principal's own tenant while it acts for another, else null. */
  ownRoute: Route | null
  /** The principal's rate. Null until the caller is known. */
  allowance: Allowance | null
}

/** Throws PublicError to refuse. Returns no promise if it need not wait, so that a warm request passes all gates in one turn. */
export type Gate = (state: RequestState) => Promise<void> | void
