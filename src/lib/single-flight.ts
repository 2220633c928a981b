/** Callers that use the same key at the same time share one call. No result is kept: the next caller starts a new call. */
export class SingleFlight<V> {
  readonly #flights = new Map<string, Promise<V>>()

  /** Joins the running call for `key`, or starts one. */
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

  /** The number of running calls that can still be joined. */
  get size(): number {
    return this.#flights.size
  }

  #begin(key: string, call: () => Promise<V>): Promise<V> {
    // The call begins in a microtask, so an exception that it throws at once becomes a rejection.
    const flight: Promise<V> = Promise.resolve()
      .then(call)
      .finally(() => {
        // After forget() the map may hold a newer call, which must stay.
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
      })
    return flight
  }
}
