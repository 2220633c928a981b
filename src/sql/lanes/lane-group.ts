import type { Route } from '../../catalog/directory.ts'
import type { PoolManager } from '../../pools/pool-manager.ts'
import type { TenantPool } from '../../pools/tenant-pool.ts'
import { tenantCheckOf } from '../current-route.ts'
import type { WireRow } from '../wire/row-reader.ts'
import type { WireStatement } from '../wire/wire-statement.ts'
import type { Unanswered } from '../wire/wire-unit.ts'
import type { Lane } from './lane.ts'
import { LaneOpener } from './lane-opener.ts'
import type { LaneQuestion, LaneUnit } from './lane-unit.ts'
import { SLOW_MS, SlowStatements } from './slow-statements.ts'
import { WaitingUnits } from './waiting-units.ts'

/** Another lane is opened when each has so many units. */
const BUSY_AT = 4
/** So many units may wait for each lane, and so many of them may be of one tenant. */
const MAX_WAITING = 64
const MAX_TENANT_WAITING = 48
/** A unit that waits for longer runs on a connection of its own. Milliseconds. */
const LONGEST_WAIT_MS = 100
const STATEMENT_TIMEOUT = '57014'

export interface LaneGroupOptions {
  readonly pools: PoolManager
  readonly pool: TenantPool
  readonly maxAnswerBytes: number | undefined
  /** Of all groups. */
  readonly counts: { answered: number }
  /** Called for each unit that no lane could answer. */
  readonly onRerun: (why: Unanswered) => void
  /** Called when it has a new lane. It must then be ticked while it `isActive`. */
  readonly onActive: (group: LaneGroup) => void
}

/** Receives the outcome: the rows, or null if the statement must run elsewhere. */
interface Asker {
  readonly resolve: (rows: WireRow[] | null) => void
  readonly reject: (error: unknown) => void
}

/** The lanes to one tenant database, and the units that wait for them. */
export class LaneGroup {
  readonly lanes: Lane[] = []
  readonly #options: LaneGroupOptions
  readonly #opener: LaneOpener
  readonly #waiting = new WaitingUnits<LaneUnit>()
  readonly #slow = new SlowStatements()
  /** Statements whose columns the database describes otherwise than declared. */
  readonly #unfit = new WeakSet<WireStatement>()
  /** A read has found no lane open. It runs on a connection of its own. */
  #wantsFirst = false
  /** Units since the last tick, and the route of one of them. */
  #uses = 0
  #usedBy: Route | null = null

  constructor(options: LaneGroupOptions) {
    this.#options = options
    this.#opener = new LaneOpener({
      ...options,
      onOpen: (lane) => this.#begin(lane),
      onOver: (lane) => this.#leave(lane),
    })
  }

  /** True if the database's pool is closing. A new pool gets a new group. */
  get isOver(): boolean {
    return this.#options.pool.isRetired
  }

  get isActive(): boolean {
    return this.lanes.length > 0
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Null if no lane takes the statement. Else its rows, or null if no lane could answer and it must run elsewhere. */
  run(question: LaneQuestion): Promise<WireRow[] | null> | null {
    const { statement, current } = question
    const { route } = current
    const { tenantId } = route
    if (this.#opener.isPooled || this.#unfit.has(statement)) return null
    if (this.#slow.size > 0 && this.#slow.isSlow(tenantId, statement)) return null
    const lane = this.#leastBusy(tenantId)
    if (this.lanes.length === 0) this.#wantsFirst = true
    else if (lane === null || lane.inFlight >= BUSY_AT) this.#opener.openIfUseful(route)
    if (lane === null && !this.#mayWait(tenantId)) return null
    this.#uses += 1
    this.#usedBy = route
    return new Promise((resolve, reject) => {
      const unit = this.#unitFor(question, { resolve, reject })
      if (lane === null) this.#waiting.add(unit)
      else send(unit, lane)
    })
  }

  /**
   * Call when a read has ended on a connection of its own. The first lane is opened only then: the read did not wait for that, and its
   * connection may be idle now.
   */
  ranAlone(route: Route): void {
    if (this.#wantsFirst && this.#opener.count === 0) this.#opener.openIfUseful(route)
    this.#wantsFirst = false
  }

  /** Call regularly; see `Lane.tick`. */
  tick(now: number, isOnTime: boolean): void {
    const { pool, pools } = this.#options
    for (const lane of [...this.lanes]) {
      lane.tick(isOnTime)
      if ((lane.idleMs ?? 0) > pool.limits.idleTimeoutMs) lane.close()
    }
    pool.reviewKept()
    for (const unit of this.#waiting.takeOlder(now - LONGEST_WAIT_MS)) unit.ended('late')
    if (this.#slow.size > 0) this.#slow.forgetOld()
    // The pools that are used often stay open.
    if (this.#usedBy !== null && !this.isOver) pools.openPool(this.#usedBy, this.#uses)
    this.#uses = 0
    this.#usedBy = null
  }

  /** False without a lane, and if too many units wait already. The read then runs on a connection of its own. */
  #mayWait(tenantId: string): boolean {
    const { length } = this.lanes
    const hasRoom = this.#waiting.size < length * MAX_WAITING
    return hasRoom && this.#waiting.countOf(tenantId) < length * MAX_TENANT_WAITING
  }

  #leastBusy(tenantId: string): Lane | null {
    let found: Lane | null = null
    for (const lane of this.lanes) {
      const isBetter = found === null || lane.inFlight < found.inFlight
      if (isBetter && lane.isServing && lane.hasRoomFor(tenantId)) found = lane
    }
    return found
  }

  #unitFor({ current, statement, values }: LaneQuestion, { resolve, reject }: Asker): LaneUnit {
    const rows: WireRow[] = []
    const unit: LaneUnit = {
      tenantId: current.route.tenantId,
      tenantCheck: tenantCheckOf(current.route),
      statement,
      values,
      rows,
      number: '',
      preparation: null,
      prepares: false,
      refusal: null,
      askedAt: performance.now(),
      sentAt: 0,
      lane: null,
      assertCurrent: () => current.assertCurrent(),
      ended: (why) => {
        try {
          this.#ended(unit, why)
        } finally {
          resolve(why === null ? rows : null)
        }
      },
      failed: (error) => {
        try {
          this.#ended(unit, 'unsent')
        } finally {
          reject(error)
        }
      },
    }
    return unit
  }

  #ended(unit: LaneUnit, why: Unanswered | null): void {
    const { counts, onRerun } = this.#options
    if (why === null) counts.answered += 1
    else onRerun(why)
    const { lane, statement, tenantId } = unit
    if (why === 'unfit') this.#unfit.add(statement)
    // Each large answer ends a lane and delays the units behind it.
    if (why === 'large') this.#slow.avoid(tenantId, statement)
    if (lane === null) return
    const durationMs = lane.ended(unit)
    if (lane.inFlight === 0) this.#spare()
    if (why === null && (durationMs > SLOW_MS || this.#slow.size > 0))
      this.#slow.ended(tenantId, statement, durationMs)
    if (why === 'limit' && unit.refusal === STATEMENT_TIMEOUT) this.#slow.exceeded(tenantId, statement)
    this.#serveWaiting(lane)
  }

  /** A lane is idle. Another pool may wait for its permit. */
  #spare(): void {
    const { pool, pools } = this.#options
    const { isShrinking, waiting } = pools.budget
    if (isShrinking || waiting.since.size > 0) pool.reviewKept()
  }

  #serveWaiting(lane: Lane): void {
    while (this.#waiting.size > 0 && lane.isServing) {
      const unit = this.#waiting.take((tenantId) => lane.hasRoomFor(tenantId))
      if (unit === undefined) return
      send(unit, lane)
    }
  }

  #begin(lane: Lane): void {
    this.lanes.push(lane)
    this.#options.onActive(this)
    this.#serveWaiting(lane)
  }

  #leave(lane: Lane): void {
    this.lanes.splice(this.lanes.indexOf(lane), 1)
    if (this.lanes.length > 0) return
    // Without a lane nothing will serve the waiting units.
    for (const unit of this.#waiting.takeOlder(Number.POSITIVE_INFINITY)) unit.ended('late')
  }
}

function send(unit: LaneUnit, lane: Lane): void {
  unit.lane = lane
  lane.send(unit)
}
