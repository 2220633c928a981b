import {
  countSchemas,
  type DatabaseSchema,
  listSchemas,
  type SchemaCounts,
  type SchemaState,
  schemaStateOf,
} from '../catalog/databases/schema-states.ts'
import { isBehind } from '../catalog/databases/schema-versions.ts'
import type { Page } from '../catalog/pages.ts'
import type { RunRow } from '../catalog/runs/advance.ts'
import { currentRun } from '../catalog/runs/list.ts'
import type { Placement, SchemaVersion } from '../catalog/schema.ts'
import type { CatalogStore } from '../catalog/store.ts'
import { systemClock } from '../lib/clock.ts'
import { SingleFlight } from '../lib/single-flight.ts'
import type { Release } from '../migrations/release.ts'

export interface SchemasDeps {
  readonly store: CatalogStore
  readonly release: Pick<Release, 'target'>
  /** Reads the journal of the shared database. */
  readonly readShared: () => Promise<SchemaVersion>
}

/** The schema versions of all databases. */
export interface SchemaReport {
  readonly target: SchemaVersion
  readonly databases: SchemaCounts
  /** The run that is running, paused or halted; or null. */
  readonly run: RunRow | null
}

export interface SchemaQuery {
  readonly state?: SchemaState
  readonly limit: number
  readonly cursor?: string | undefined
}

const NOTHING: SchemaCounts = { current: 0, behind: 0, failed: 0, unreachable: 0, drifted: 0 }
const FRESH_MS = 2_000

/** The schema version of each database. The catalog stores it for dedicated databases; the shared database has it in its journal. */
export class Schemas {
  readonly #deps: SchemasDeps
  readonly #reading = new SingleFlight<void>()
  #shared: SchemaVersion | null = null
  #sharedState: SchemaState = 'unreachable'
  #readAt = Number.NEGATIVE_INFINITY
  #counts = NOTHING

  constructor(deps: SchemasDeps) {
    this.#deps = deps
  }

  /** Whether a tenant database lacks migrations of this release. `version` is null for the shared one. */
  isBehind(placement: 'shared' | 'dedicated', version: SchemaVersion | null): boolean {
    if (placement === 'dedicated') return isBehind(version, this.#deps.release.target)
    const isSharedBehind = this.#sharedState === 'behind'
    // A run may have ended on another replica.
    if (isSharedBehind) void this.#refreshShared()
    return isSharedBehind
  }

  /** Sets the state of the shared database that the start of the gateway found. Later it is read again. */
  setShared({ isBehind: isSharedBehind }: { isBehind: boolean }): void {
    this.#sharedState = isSharedBehind ? 'behind' : 'current'
  }

  /** How many databases are in each state, as counted last. */
  get counts(): SchemaCounts {
    return this.#counts
  }

  /** Counts again. @throws PublicError CATALOG_UNAVAILABLE */
  async count(): Promise<SchemaCounts> {
    const { store, release } = this.#deps
    const [dedicated] = await Promise.all([countSchemas(store, release.target), this.#refreshShared()])
    this.#counts = { ...dedicated, [this.#sharedState]: dedicated[this.#sharedState] + 1 }
    return this.#counts
  }

  /** Reads the journal of the shared database again. */
  forgetShared(): void {
    this.#readAt = Number.NEGATIVE_INFINITY
    void this.#refreshShared()
  }

  async report(): Promise<SchemaReport> {
    const { store, release } = this.#deps
    const [databases, run] = await Promise.all([this.count(), currentRun(store)])
    return { target: release.target, databases, run }
  }

  /** The shared database comes first. */
  async list(query: SchemaQuery): Promise<Page<DatabaseSchema>> {
    const { store, release } = this.#deps
    await this.#refreshShared()
    const page = await listSchemas(store, release.target, query)
    const isFirst = query.cursor === undefined
    const isWanted = query.state === undefined || query.state === this.#sharedState
    if (!isFirst || !isWanted) return page
    const shared = { tenantId: null, schemaVersion: this.#shared, state: this.#sharedState, lastError: null }
    return { ...page, data: [shared, ...page.data] }
  }

  /** The state of the schema in which the tenant's rows are. Null if the tenant has no database. */
  async stateOf({
    tenantId,
    placement,
  }: {
    tenantId: string
    placement: Placement
  }): Promise<SchemaState | null> {
    const { store, release } = this.#deps
    if (placement === 'dedicated') return schemaStateOf(store, release.target, tenantId)
    await this.#refreshShared()
    return this.#sharedState
  }

  /** Never rejects. */
  #refreshShared(): Promise<void> {
    if (systemClock.monotonic() - this.#readAt < FRESH_MS) return Promise.resolve()
    return this.#reading.run('shared', async () => {
      try {
        this.#shared = await this.#deps.readShared()
        this.#sharedState = isBehind(this.#shared, this.#deps.release.target) ? 'behind' : 'current'
      } catch {
        this.#sharedState = 'unreachable'
      }
      this.#readAt = systemClock.monotonic()
    })
  }
}
