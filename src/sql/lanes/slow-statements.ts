import type { WireStatement } from '../wire/wire-statement.ts'

/** A statement whose average is longer than this runs on a connection of its own. Milliseconds. */
const SLOW_MS = 5
/** The share of the last duration in the average. */
const WEIGHT = 0.1
/** A statement that the lane's time limit ended weighs more: its true duration is not known. */
const LIMIT_WEIGHT = 0.2
/** One long pause of this process must not make a statement slow. */
const LONGEST_MS = 20
/** After this time a slow statement is tried on a lane again. */
const PENALTY_MS = 10_000
const MAX_ENTRIES = 1_000

interface Duration {
  averageMs: number
  slowUntil: number
}

/**
 * Remembers which tenants' statements are slow. It has an entry only for a statement that once took longer than `SLOW_MS`, so it is
 * empty in most processes.
 */
export class SlowStatements {
  readonly #durations = new Map<string, Duration>()

  isSlow(tenantId: string, statement: WireStatement): boolean {
    if (this.#durations.size === 0) return false
    const known = this.#durations.get(keyOf(tenantId, statement))
    return known !== undefined && performance.now() < known.slowUntil
  }

  /** The statement took so long on a lane. */
  ended(tenantId: string, statement: WireStatement, durationMs: number): void {
    if (durationMs <= SLOW_MS && this.#durations.size === 0) return
    const key = keyOf(tenantId, statement)
    if (durationMs > SLOW_MS || this.#durations.has(key)) this.#learn(key, durationMs, WEIGHT)
  }

  /** The lane's time limit has ended the statement. */
  exceeded(tenantId: string, statement: WireStatement): void {
    this.#learn(keyOf(tenantId, statement), LONGEST_MS, LIMIT_WEIGHT)
  }

  /** The statement may not run on a lane for a while. */
  avoid(tenantId: string, statement: WireStatement): void {
    this.#learn(keyOf(tenantId, statement), LONGEST_MS, 1)
  }

  #learn(key: string, durationMs: number, weight: number): void {
    const known = this.#durations.get(key) ?? { averageMs: 0, slowUntil: 0 }
    known.averageMs += (Math.min(durationMs, LONGEST_MS) - known.averageMs) * weight
    if (known.averageMs > SLOW_MS) {
      known.slowUntil = performance.now() + PENALTY_MS
      known.averageMs = 0
    }
    this.#durations.delete(key)
    if (known.averageMs < 0.1 && known.slowUntil < performance.now()) return
    this.#durations.set(key, known)
    const [oldest] = this.#durations.keys()
    if (this.#durations.size > MAX_ENTRIES && oldest !== undefined) this.#durations.delete(oldest)
  }
}

function keyOf(tenantId: string, { text }: WireStatement): string {
  return `${tenantId} ${text}`
}
