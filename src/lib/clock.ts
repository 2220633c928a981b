/** The two clocks of a process. Parts that measure or wait receive one, so that tests can turn it by hand. */
export interface Clock {
  /** Wall time in milliseconds since 1970: for stamps that people read. May jump. */
  now(): number
  /** Milliseconds since some fixed moment: for durations. Never goes back, whoever sets the machine's time. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: Date.now,
  monotonic: performance.now.bind(performance),
}
