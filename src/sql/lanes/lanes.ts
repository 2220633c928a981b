import type { Route } from '../../catalog/directory.ts'
import type { PoolManager } from '../../pools/pool-manager.ts'
import type { TenantPool } from '../../pools/tenant-pool.ts'
import type { Unanswered } from '../wire/wire-unit.ts'
import { LaneGroup } from './lane-group.ts'

const TICK_MS = 100
/** A tick that comes later than this is late because the event loop was busy. Milliseconds. */
const LATE_MS = 20

/** The lanes of this process at this moment. */
export interface LaneStats {
  readonly open: number
  /** Units that were answered so far. */
  readonly answered: number
  /** Units on lanes. */
  readonly inFlight: number
  /** Units that wait for a lane. */
  readonly waiting: number
  /** How long the oldest unit on a lane has run. */
  readonly oldestMs: number
}

/** The lanes to all tenant databases. */
export class Lanes {
  readonly #pools: PoolManager
  readonly #onRerun: (why: Unanswered) => void
  readonly #maxAnswerBytes: number | undefined
  readonly #byPool = new WeakMap<TenantPool, LaneGroup>()
  /** The groups that are ticked. */
  readonly #active = new Set<LaneGroup>()
  #timer: NodeJS.Timeout | null = null
  readonly #counts = { answered: 0 }
  #tickDueAt = 0

  /** `onRerun` is called for each unit that no lane could answer. `maxAnswerBytes`: see `Lane`. */
  constructor(pools: PoolManager, onRerun: (why: Unanswered) => void, maxAnswerBytes?: number) {
    this.#pools = pools
    this.#onRerun = onRerun
    this.#maxAnswerBytes = maxAnswerBytes
  }

  /**
   * The lanes to the database of the route, until they are over. Null while the database has no pool: the first request opens it.
   * @throws PublicError if the database may not be used now
   */
  groupOf(route: Route): LaneGroup | null {
    const pool = this.#pools.openPool(route)
    return pool === undefined ? null : (this.#byPool.get(pool) ?? this.#createGroup(pool))
  }

  get stats(): LaneStats {
    const now = performance.now()
    const groups = [...this.#active]
    const lanes = groups.flatMap((group) => group.lanes)
    return {
      open: lanes.length,
      answered: this.#counts.answered,
      inFlight: lanes.reduce((sum, { inFlight }) => sum + inFlight, 0),
      waiting: groups.reduce((sum, { waiting }) => sum + waiting, 0),
      oldestMs: Math.max(0, ...lanes.map((lane) => lane.ageMs(now))),
    }
  }

  #createGroup(pool: TenantPool): LaneGroup {
    const group = new LaneGroup({
      pool,
      pools: this.#pools,
      maxAnswerBytes: this.#maxAnswerBytes,
      counts: this.#counts,
      onRerun: this.#onRerun,
      onActive: (active) => {
        this.#active.add(active)
        if (this.#timer === null) this.#wait()
      },
    })
    this.#byPool.set(pool, group)
    return group
  }

  #wait(): void {
    this.#tickDueAt = performance.now() + TICK_MS
    this.#timer = setTimeout(() => this.#tick(), TICK_MS)
    this.#timer.unref()
  }

  #tick(): void {
    const now = performance.now()
    for (const group of this.#active) {
      group.tick(now, now - this.#tickDueAt <= LATE_MS)
      if (!group.isActive) this.#active.delete(group)
    }
    this.#timer = null
    if (this.#active.size > 0) this.#wait()
  }
}
