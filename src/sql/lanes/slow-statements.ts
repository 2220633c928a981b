import type { WireStatement } from '../wire/wire-statement.ts'

/** A statement whose average is longer than this runs on a connection of its own. Milliseconds. */
export const SLOW_MS = 5
/** The share of the last duration in the average. */
const WEIGHT = 0.1
/** A longer duration counts as this one: one long pause of this process must not make a statement slow. */
const LONGEST_MS = 10
/** What counts if the lane's time limit ended the statement. It weighs more, because the true duration is not known. */
const LIMIT_MS = 20
const LIMIT_WEIGHT = 0.2
/** After this time a slow statement is tried on a lane again, and what else is known of a statement is forgotten. */
const PENALTY_MS = 10_000
/** An average below this is forgotten. */
const SHORT_MS = 1
const MAX_ENTRIES = 1_000

interface Duration {
  averageMs: number
  isSlow: boolean
  /** When it was last learned, in milliseconds of `performance.now()`. */
  learnedAt: number
}

/** Remembers which tenants' statements are slow. It has an entry only for a statement that has lately taken longer than `SLOW_MS`. */
export class SlowStatements {
  /** How many entries there are. A plain field: it is usually 0, and a unit then runs no code of this class. */
  size = 0
  /** The one that was learned longest ago comes first. */
  readonly #durations = new Map<string, Duration>()

  isSlow(tenantId: string, statement: WireStatement): boolean {
    const known = this.#durations.get(keyOf(tenantId, statement))
    return known?.isSlow === true && !isOld(known)
  }

  /** The statement took so long on a lane. Call it if that is longer than `SLOW_MS`, and always while there is an entry. */
  ended(tenantId: string, statement: WireStatement, durationMs: number): void {
    const key = keyOf(tenantId, statement)
    if (durationMs > SLOW_MS || this.#durations.has(key))
      this.#learn(key, Math.min(durationMs, LONGEST_MS), WEIGHT)
  }

  /** The lane's time limit has ended the statement. */
  exceeded(tenantId: string, statement: WireStatement): void {
    this.#learn(keyOf(tenantId, statement), LIMIT_MS, LIMIT_WEIGHT)
  }

  /** The statement may not run on a lane for a while. */
  avoid(tenantId: string, statement: WireStatement): void {
    this.#learn(keyOf(tenantId, statement), LIMIT_MS, 1)
  }

  forgetOld(): void {
    for (const [key, known] of this.#durations) {
      if (!isOld(known)) break
      this.#durations.delete(key)
    }
    this.size = this.#durations.size
  }

  #learn(key: string, durationMs: number, weight: number): void {
    const known = this.#durations.get(key)
    // Units that were on their way when it became slow.
    if (known?.isSlow === true && !isOld(known)) return
    const before = known === undefined || isOld(known) ? 0 : known.averageMs
    const averageMs = before + (durationMs - before) * weight
    this.#durations.delete(key)
    if (averageMs >= SHORT_MS || durationMs > SLOW_MS)
      this.#durations.set(key, { averageMs, isSlow: averageMs > SLOW_MS, learnedAt: performance.now() })
    const [oldest] = this.#durations.keys()
    if (this.#durations.size > MAX_ENTRIES && oldest !== undefined) this.#durations.delete(oldest)
    this.size = this.#durations.size
  }
}

function isOld({ learnedAt }: Duration): boolean {
  return performance.now() - learnedAt >= PENALTY_MS
}

function keyOf(tenantId: string, { text }: WireStatement): string {
  return `${tenantId} ${text}`
}
