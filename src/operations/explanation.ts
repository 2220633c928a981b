import type { DatabaseEntry } from '../catalog/databases/entry.ts'
import type { DatabaseSummary } from '../catalog/databases/entry-view.ts'
import type { SchemaState } from '../catalog/databases/schema-states.ts'
import type { Route } from '../catalog/directory.ts'
import type { Placement, TenantStatus } from '../catalog/schema.ts'
import type { ErrorCode } from '../errors.ts'
import type { BreakerState } from '../pools/opening/breaker.ts'
import type { PoolView } from '../pools/pool-view.ts'

/** `ok`, or the code of the error. */
export type Outcome = 'ok' | ErrorCode

/** What a request of a tenant would get from this process now, and why. */
export interface Explanation {
  readonly tenantId: string
  readonly code: string
  readonly status: TenantStatus
  readonly placement: Placement
  /** The registered database. The rows are in it if `placement` is `dedicated`. */
  readonly database: DatabaseSummary | null
  /** `host:port` of the database where the rows are. */
  readonly server: string | null
  readonly epoch: number
  readonly pool: Pick<PoolView, 'open' | 'idle' | 'waiting' | 'lanes'>
  readonly breaker: BreakerState
  readonly schema: SchemaState | null
  readonly would: { readonly read: Outcome; readonly write: Outcome }
  /** Step by step, in sentences. */
  readonly because: readonly string[]
}

/** What the process knows of a tenant's way to its rows. */
export interface Found {
  readonly route: Route
  readonly view: PoolView
  readonly current: DatabaseEntry | null
  readonly candidate: DatabaseEntry | null
  readonly schema: SchemaState | null
  readonly access: 'ok' | 'read-only' | 'down'
}
