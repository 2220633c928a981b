import type pg from 'pg'
import type { Route } from '../../catalog/directory.ts'
import { errorCode } from '../../lib/postgres/pg.ts'
import { sessionSetups } from '../../lib/wire/session-setup.ts'
import type { PoolManager } from '../../pools/pool-manager.ts'
import type { TenantPool } from '../../pools/tenant-pool.ts'
import { markDirty } from '../../pools/wire/dirty-connections.ts'
import type { WireRow } from '../wire/row-reader.ts'
import type { WireStatement } from '../wire/wire-statement.ts'
import type { Unanswered } from '../wire/wire-unit.ts'
import type { Lane } from './lane.ts'
import { LanePause } from './lane-pause.ts'
import { type LaneQuestion, LaneUnit } from './lane-unit.ts'
import { openLane } from './open-lane.ts'
import { SlowStatements } from './slow-statements.ts'
import { WaitingUnits } from './waiting-units.ts'

/** More lanes than this are no faster. */
const MAX_LANES = 4
/** The share of a pool's connections that may be lanes. */
const SHARE = 1 / 5
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
  readonly onUnit: (why: Unanswered | null) => void
  /** Called when it begins to open a lane. It must then be ticked while it `isActive`. */
  readonly onActive: (group: LaneGroup) => void
}

/** A lane that is being opened. */
interface Opening {
  /** False while it waits in line for a connection. */
  hasConnection: boolean
}

/** A lane is over, and its connection must be closed. */
class LaneOver extends Error {
  readonly severity = 'ERROR'
  /** With this code the pool replaces its other connections, too. */
  readonly code: string | undefined
  readonly brokeProtocol: boolean

  constructor({ isOutdated, brokeProtocol }: Lane) {
    super('the lane is over')
    this.code = isOutdated ? '0A000' : undefined
    this.brokeProtocol = brokeProtocol
  }
}

/**
 * The lanes to one tenant database, and the units that wait for them. A lane is made of a connection of the database's pool, so it
 * needs no permit of its own. The pool asks for it back when the permit is needed elsewhere.
 */
export class LaneGroup {
  readonly #options: LaneGroupOptions
  readonly #lanes: Lane[] = []
  readonly #waiting = new WaitingUnits<LaneUnit>()
  readonly #slow = new SlowStatements()
  /** Statements whose columns the database describes otherwise than declared. */
  readonly #unfit = new WeakSet<WireStatement>()
  readonly #opening = new Set<Opening>()
  readonly #pause = new LanePause()
  /** True behind a pooler, where a connection has no session of its own. */
  #isPooled = false
  /** The route of a unit since the last tick. */
  #usedBy: Route | null = null

  constructor(options: LaneGroupOptions) {
    this.#options = options
  }

  /** True if the database's pool is closing. A new pool gets a new group. */
  get isOver(): boolean {
    return this.#options.pool.isRetired
  }

  /** True while there is a lane or a unit that waits for one. */
  get isActive(): boolean {
    return this.#lanes.length + this.#opening.size + this.#waiting.size > 0
  }

  get lanes(): readonly Lane[] {
    return this.#lanes
  }

  get waiting(): number {
    return this.#waiting.size
  }

  /** Null if no lane takes the statement. Else its rows, or null if no lane could answer and it must run elsewhere. */
  run(question: LaneQuestion): Promise<WireRow[] | null> | null {
    const { statement, current } = question
    const { route } = current
    if (this.#isPooled || this.#unfit.has(statement)) return null
    if (this.#slow.isSlow(route.tenantId, statement)) return null
    this.#usedBy = route
    const lane = this.#leastBusy(route.tenantId)
    if (lane === null || lane.inFlight >= BUSY_AT) this.#openIfUseful(route)
    if (lane === null && !this.#mayWait(route.tenantId)) return null
    return new Promise((resolve, reject) => {
      const onEnd = (unit: LaneUnit, why: Unanswered | null) => this.#ended(unit, why)
      const unit = new LaneUnit(question, { resolve, reject, onEnd })
      if (lane === null) this.#waiting.add(unit)
      else unit.sendOn(lane)
    })
  }

  /** Call regularly; see `Lane.tick`. */
  tick(now: number, isOnTime: boolean): void {
    const { pool, pools } = this.#options
    for (const lane of [...this.#lanes]) {
      lane.tick(isOnTime)
      if ((lane.idleMs ?? 0) > pool.limits.idleTimeoutMs) lane.close()
    }
    pool.reviewKept()
    for (const unit of this.#waiting.takeOlder(now - LONGEST_WAIT_MS)) unit.ended('late')
    // The pools that were used last stay open.
    if (this.#usedBy !== null && !this.isOver) pools.openPool(this.#usedBy)
    this.#usedBy = null
  }

  /** False if no lane is near: reads then run on connections of their own. */
  #mayWait(tenantId: string): boolean {
    const near = this.#lanes.length + [...this.#opening].filter((opening) => opening.hasConnection).length
    const hasRoom = this.#waiting.size < near * MAX_WAITING
    return hasRoom && this.#waiting.countOf(tenantId) < near * MAX_TENANT_WAITING
  }

  #leastBusy(tenantId: string): Lane | null {
    let found: Lane | null = null
    for (const lane of this.#lanes) {
      const isBetter = found === null || lane.inFlight < found.inFlight
      if (isBetter && lane.isServing && lane.hasRoomFor(tenantId)) found = lane
    }
    return found
  }

  #openIfUseful(route: Route): void {
    const { pool, pools } = this.#options
    const capacity = Math.min(pool.limits.max, pools.budget.mostTo)
    const most = capacity < 2 ? 0 : Math.min(MAX_LANES, Math.ceil(capacity * SHARE))
    if (this.#lanes.length + this.#opening.size >= most) return
    if (!this.#pause.isOver || !pool.maySpareOne) return
    const opening = { hasConnection: pool.hasIdle }
    this.#opening.add(opening)
    this.#options.onActive(this)
    void this.#open(route, opening)
  }

  async #open(route: Route, opening: Opening): Promise<void> {
    try {
      await this.#options.pools.run(
        route,
        (client) => this.#serve(client, opening),
        () => false,
      )
    } catch (error) {
      // Units are told by the lane, and the breakers by the pool.
      if (isViolation(error)) this.#pause.beginAfterViolation()
    } finally {
      this.#pause.begin()
      this.#opening.delete(opening)
      this.#dismiss()
    }
  }

  /** Serves units on the connection until the lane is over. @throws LaneOver if the pool must close the connection */
  async #serve(client: pg.PoolClient, opening: Opening): Promise<void> {
    if (sessionSetups.get(client) !== undefined) {
      this.#isPooled = true
      return
    }
    const { pool } = this.#options
    opening.hasConnection = true
    const lane = await openLane(client, this.#options.maxAnswerBytes)
    this.#opening.delete(opening)
    this.#lanes.push(lane)
    pool.kept.add(lane, client)
    if (pool.isRetired) lane.close()
    this.#serveWaiting(lane)
    await lane.over
    pool.kept.remove(lane)
    this.#lanes.splice(this.#lanes.indexOf(lane), 1)
    if (!lane.handBack()) throw new LaneOver(lane)
    // The pool cleans the connection: it has the lane's time limits and statements.
    markDirty(client)
  }

  #ended(unit: LaneUnit, why: Unanswered | null): void {
    this.#options.onUnit(why)
    const { lane, statement, tenantId } = unit
    if (why === 'unfit') this.#unfit.add(statement)
    // Each large answer ends a lane and delays the units behind it.
    if (why === 'large') this.#slow.avoid(tenantId, statement)
    if (lane === null) return
    const durationMs = lane.ended(unit)
    const { pool } = this.#options
    if (lane.isIdle && pool.mustSpare) pool.reviewKept()
    if (why === null) this.#slow.ended(tenantId, statement, durationMs)
    if (why === 'limit' && unit.refusal === STATEMENT_TIMEOUT) this.#slow.exceeded(tenantId, statement)
    this.#serveWaiting(lane)
  }

  #serveWaiting(lane: Lane): void {
    while (this.#waiting.size > 0 && lane.isServing) {
      const unit = this.#waiting.take((tenantId) => lane.hasRoomFor(tenantId))
      if (unit === undefined) return
      unit.sendOn(lane)
    }
  }

  /** Without a lane nothing will serve the waiting units. */
  #dismiss(): void {
    if (this.#lanes.length + this.#opening.size > 0) return
    for (const unit of this.#waiting.takeOlder(Number.POSITIVE_INFINITY)) unit.ended('late')
  }
}

function isViolation(error: unknown): boolean {
  return error instanceof LaneOver ? error.brokeProtocol : errorCode(error) === 'PROTOCOL_VIOLATION'
}
