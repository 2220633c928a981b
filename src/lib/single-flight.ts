/**
 * Lets everybody who asks for the same key at the same time share one call. Nothing is kept once it has settled:
 * a failure is seen by those who waited for it and by nobody later.
 */
export class SingleFlight<V> {
  readonly #flights = new Map<string, Promise<V>>()

  /** Joins the call under way for `key`, or begins one. */
  run(key: string, call: () => Promise<V>): Promise<V> {
    const joined = this.#flights.get(key)
    if (joined !== undefined) return joined
    const flight = this.#begin(key, call)
    this.#flights.set(key, flight)
    return flight
  }

  /** Whoever asks for `key` from now on begins a new call; those who wait already keep theirs. */
  forget(key: string): void {
    this.#flights.delete(key)
  }

  /** The number of calls under way that can still be joined. */
  get size(): number {
    return this.#flights.size
  }

  #begin(key: string, call: () => Promise<V>): Promise<V> {
    // The call begins in a microtask, so that one which throws at once rejects as any other.
    const flight: Promise<V> = Promise.resolve()
      .then(call)
      .finally(() => {
        // After forget() a newer flight may stand here, and must stay.
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
      })
    return flight
  }
}
