/** All who ask for the same key at the same time share one call. No result is kept: the next caller begins a new call. */
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

  /** The next caller for `key` begins a new call. Callers that already wait keep theirs. */
  forget(key: string): void {
    this.#flights.delete(key)
  }

  /** The number of calls under way that can still be joined. */
  get size(): number {
    return this.#flights.size
  }

  #begin(key: string, call: () => Promise<V>): Promise<V> {
    // The call begins in a microtask, so that a call that throws at once rejects, too.
    const flight: Promise<V> = Promise.resolve()
      .then(call)
      .finally(() => {
        // After forget() this may be a newer flight, which must stay.
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
      })
    return flight
  }
}
