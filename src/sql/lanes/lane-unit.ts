import type { TenantCheck } from '../../pools/wire/tenant-unit.ts'
import type { CurrentRoute } from '../current-route.ts'
import { tenantCheckOf } from '../run-statement.ts'
import type { WireRow } from '../wire/row-reader.ts'
import type { WireStatement } from '../wire/wire-statement.ts'
import type { Preparation, Unanswered } from '../wire/wire-unit.ts'
import type { Lane, SentUnit } from './lane.ts'

/** What a lane is asked. */
export interface LaneQuestion {
  readonly current: CurrentRoute
  readonly statement: WireStatement
  readonly values: readonly unknown[]
}

/** Receives the outcome: the rows, or null if the statement must run elsewhere. */
export interface LaneAnswer {
  readonly resolve: (rows: WireRow[] | null) => void
  readonly reject: (error: unknown) => void
  readonly onEnd: (unit: LaneUnit, why: Unanswered | null) => void
}

/** A unit on its way: it waits for a lane, or runs on one. */
export class LaneUnit implements SentUnit {
  readonly askedAt = performance.now()
  readonly tenantId: string
  readonly tenantCheck: TenantCheck
  readonly statement: WireStatement
  readonly values: readonly unknown[]
  readonly rows: WireRow[] = []
  number = 0
  preparation: Preparation | null = null
  prepares = false
  refusal: string | null = null
  /** The lane that it was given to. */
  lane: Lane | null = null
  sentAt = 0
  readonly #current: CurrentRoute
  readonly #answer: LaneAnswer

  constructor({ current, statement, values }: LaneQuestion, answer: LaneAnswer) {
    this.tenantId = current.route.tenantId
    this.tenantCheck = tenantCheckOf(current.route)
    this.statement = statement
    this.values = values
    this.#current = current
    this.#answer = answer
  }

  sendOn(lane: Lane): void {
    this.lane = lane
    lane.send(this)
  }

  assertCurrent(): void {
    this.#current.assertCurrent()
  }

  ended(why: Unanswered | null): void {
    try {
      this.#answer.onEnd(this, why)
    } finally {
      this.#answer.resolve(why === null ? this.rows : null)
    }
  }

  failed(error: unknown): void {
    try {
      this.#answer.onEnd(this, 'unsent')
    } finally {
      this.#answer.reject(error)
    }
  }
}
