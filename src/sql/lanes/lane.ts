import type { TakenSocket } from '../../lib/wire/take-over.ts'
import type { KeptConnection } from '../../pools/kept-connections.ts'
import { WireClient } from '../wire/wire-client.ts'
import type { WireUnit } from '../wire/wire-unit.ts'

/** A unit as a lane sees it. */
export interface SentUnit extends WireUnit {
  /** When it was given to the lane, in milliseconds of `performance.now()`. */
  sentAt: number
}

/** Units on one lane at once: the last one waits for all others. */
const DEPTH = 16
/** Units of one tenant on one lane at once, so that a lane always has room for another tenant. */
const TENANT_DEPTH = 12
/** A tenant's server is not trusted, so the size of its answers is limited. Larger ones are read by pg. */
const MAX_ANSWER_BYTES = 16 * 1_024 * 1_024
/** A lane that hears nothing for so many ticks while a unit runs is lost. */
const SILENT_TICKS = 20

/**
 * A connection on which units of many tenants run at once. The server answers them one after another, in the order in which
 * they were sent.
 *
 *   serving ──giveBack(), close()──▶ draining ──the last unit ends──▶ over
 *      └──────────────────the connection ends─────────────────────────▲
 */
export class Lane implements KeptConnection {
  /** Units that were given to this lane and have not ended. */
  inFlight = 0
  readonly #taken: TakenSocket
  readonly #client: WireClient
  readonly #byTenant = new Map<string, number>()
  readonly #over = Promise.withResolvers<void>()
  #isDraining = false
  #mustClose = false
  /** When the last unit ended, or else when the lane began. In milliseconds of `performance.now()`. */
  #lastEndAt = performance.now()
  /** When the oldest unit that runs now became the oldest. */
  #busySince = 0
  #silentTicks = 0
  /** The shortest time from a unit to its answer. Most of it is the network's. */
  #roundTripMs: number

  /** `roundTripMs`: how long the last question on the connection took. `maxAnswerBytes`: the most that the server may send for a unit. */
  constructor(taken: TakenSocket, roundTripMs: number, maxAnswerBytes = MAX_ANSWER_BYTES) {
    this.#taken = taken
    this.#roundTripMs = roundTripMs
    this.#client = new WireClient(taken.socket, {
      maxAnswerBytes,
      onEnd: () => this.#over.resolve(),
    })
  }

  /** Resolves when no unit runs here any more and none will. */
  get over(): Promise<void> {
    return this.#over.promise
  }

  get idleMs(): number | null {
    return this.isIdle ? performance.now() - this.#lastEndAt : null
  }

  get isIdle(): boolean {
    return this.inFlight === 0
  }

  get isServing(): boolean {
    return !this.#isDraining && !this.#client.isOver && !this.#client.isOutdated
  }

  /** True if the server held other statements than we believed: other connections probably do, too. */
  get isOutdated(): boolean {
    return this.#client.isOutdated
  }

  /** True if the connection has ended because the server broke the protocol. */
  get brokeProtocol(): boolean {
    return this.#client.brokeProtocol
  }

  hasRoomFor(tenantId: string): boolean {
    return this.inFlight < DEPTH && (this.#byTenant.get(tenantId) ?? 0) < TENANT_DEPTH
  }

  send(unit: SentUnit): void {
    unit.sentAt = performance.now()
    if (this.inFlight === 0) this.#busySince = unit.sentAt
    this.inFlight += 1
    this.#byTenant.set(unit.tenantId, (this.#byTenant.get(unit.tenantId) ?? 0) + 1)
    this.#client.send(unit)
  }

  /** Counts the end of a unit. Returns how long the server worked on it at most, in milliseconds. */
  ended({ tenantId, sentAt }: SentUnit): number {
    const now = performance.now()
    const tookMs = now - sentAt
    this.#roundTripMs = Math.min(this.#roundTripMs, tookMs)
    const durationMs = Math.min(tookMs - this.#roundTripMs, now - this.#lastEndAt)
    this.#lastEndAt = now
    this.#busySince = now
    this.inFlight -= 1
    const left = (this.#byTenant.get(tenantId) ?? 1) - 1
    if (left === 0) this.#byTenant.delete(tenantId)
    else this.#byTenant.set(tenantId, left)
    if (this.inFlight === 0 && !this.isServing) this.#over.resolve()
    return durationMs
  }

  giveBack(): void {
    this.#isDraining = true
    if (this.isIdle) this.#over.resolve()
  }

  close(): void {
    this.#mustClose = true
    this.giveBack()
  }

  /** Call when it is over. Lets pg use the connection again. False if the connection must be closed. */
  handBack(): boolean {
    if (this.#mustClose || this.#client.isOutdated || !this.#client.release()) return false
    this.#taken.handBack()
    return true
  }

  /** How long the oldest unit has run, in milliseconds. */
  ageMs(now: number): number {
    return this.isIdle ? 0 : now - this.#busySince
  }

  /**
   * Call regularly. Ends a lane whose server is silent. `isOnTime` is false for a call that comes late, because the event loop
   * was busy: an answer may have arrived that was not read yet.
   */
  tick(isOnTime: boolean): void {
    if (this.isIdle || this.#client.wasHeard) this.#silentTicks = 0
    else if (isOnTime) this.#silentTicks += 1
    this.#client.wasHeard = false
    if (this.#silentTicks >= SILENT_TICKS) this.#client.destroy(new Error('the server does not answer'))
  }
}
