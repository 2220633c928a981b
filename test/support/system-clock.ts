import { systemClock } from '../../src/lib/clock.ts'

/** Fake timers replace globals, so the system's clock has to read the globals at each call. */
Object.assign(systemClock, { now: () => Date.now(), monotonic: () => performance.now() })
