/** The two clocks of a process. Parts that measure or wait receive one, so that tests can control the time. */
export interface Clock {
  /** Wall time in milliseconds since 1970: for timestamps that people read. May jump. */
  now(): number
  /** Milliseconds since some fixed moment: for durations. Never goes back, even if the machine's time is changed. */
  monotonic(): number
}

export const systemClock: Clock = {
  now: Date.now,
  monotonic: performance.now.bind(performance),
}
