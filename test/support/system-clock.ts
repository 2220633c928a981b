import { systemClock } from '../../src/lib/clock.ts'

/** Fake timers replace globals, so the system clock must read the globals at each call. */
Object.assign(systemClock, { now: () => Date.now(), monotonic: () => performance.now() })
