import type pg from 'pg'
import type { Route } from '../../catalog/directory.ts'
import { errorCode } from '../../lib/postgres/pg.ts'
import { sessionSetups } from '../../lib/wire/session-setup.ts'
import type { PoolManager } from '../../pools/pool-manager.ts'
import type { TenantPool } from '../../pools/tenant-pool.ts'
import { markDirty } from '../../pools/wire/dirty-connections.ts'
import type { Lane } from './lane.ts'
import { LanePause } from './lane-pause.ts'
import { openLane } from './open-lane.ts'

/** More lanes than this are no faster. */
const MAX_LANES = 4
/** The share of a pool's connections that may be lanes. */
const SHARE = 1 / 5

export interface LaneOpenerOptions {
  readonly pools: PoolManager
  readonly pool: TenantPool
  readonly maxAnswerBytes: number | undefined
  /** Called with each new lane. */
  readonly onOpen: (lane: Lane) => void
  /** Called when the lane is over. */
  readonly onOver: (lane: Lane) => void
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
 * Makes lanes of the connections of a pool. So a lane needs no permit of its own, and the pool asks for it back when the permit is
 * needed elsewhere.
 */
export class LaneOpener {
  /** True behind a pooler, where a connection has no session of its own. A plain field, because each unit asks for it. */
  isPooled = false
  readonly #options: LaneOpenerOptions
  readonly #pause = new LanePause()
  /** Lanes that are open or being opened. */
  count = 0

  constructor(options: LaneOpenerOptions) {
    this.#options = options
  }

  openIfUseful(route: Route): void {
    const { pool, pools } = this.#options
    const capacity = Math.min(pool.limits.max, pools.budget.mostTo)
    const most = capacity < 2 ? 0 : Math.min(MAX_LANES, Math.ceil(capacity * SHARE))
    if (this.count < most && this.#pause.isOver && pool.maySpareOne) void this.#open(route)
  }

  async #open(route: Route): Promise<void> {
    this.count += 1
    try {
      await this.#options.pools.run(
        route,
        (client) => this.#serve(client),
        () => false,
      )
    } catch (error) {
      // Units are told by the lane, and the breakers by the pool.
      if (isViolation(error)) this.#pause.beginAfterViolation()
    } finally {
      this.#pause.begin()
      this.count -= 1
    }
  }

  /** Serves units on the connection until the lane is over. @throws LaneOver if the pool must close the connection */
  async #serve(client: pg.PoolClient): Promise<void> {
    if (sessionSetups.get(client) !== undefined) {
      this.isPooled = true
      return
    }
    const { pool, maxAnswerBytes, onOpen, onOver } = this.#options
    const lane = await openLane(client, maxAnswerBytes)
    pool.kept.add(lane, client)
    if (pool.isRetired) lane.close()
    onOpen(lane)
    await lane.over
    pool.kept.remove(lane)
    onOver(lane)
    if (!lane.handBack()) throw new LaneOver(lane)
    // The pool cleans the connection: it has the lane's time limits and statements.
    markDirty(client)
  }
}

function isViolation(error: unknown): boolean {
  return error instanceof LaneOver ? error.brokeProtocol : errorCode(error) === 'PROTOCOL_VIOLATION'
}
