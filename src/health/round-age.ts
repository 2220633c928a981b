/** Gateways that start together begin their first rounds together. One short failure must not count once for each gateway. */
const FIRST_AGE_MS = 2_000

/** How old the last check of a thing must be, so that a round checks it again. */
export class RoundAge {
  #lastAt: number | null = null

  /** For the round that begins now: half the time between rounds, so that no two replicas check the same thing in one round. */
  next(): number {
    const now = performance.now()
    const ageMs = this.#lastAt === null ? FIRST_AGE_MS : Math.floor((now - this.#lastAt) / 2)
    this.#lastAt = now
    return ageMs
  }
}
