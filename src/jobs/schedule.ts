import { type ScheduledTask, schedule } from 'node-cron'
import { systemClock } from '../lib/clock.ts'

export interface ScheduledJob {
  readonly name: string
  /** In node-cron's form, seconds first; UTC, so that no change of clocks skips or repeats a round. */
  readonly cron: string
  /** `signal` fires when nothing is to be begun any more: what can end early does. `at` is the moment that `cron` names. */
  readonly run: (signal: AbortSignal, at: Date) => Promise<void>
}

const LOOK_MS = 1_000
/** What the machine's time may be off by, against a clock that nobody sets, before all is scheduled anew. */
const JUMP_MS = 1_000
const say = () => undefined
/** node-cron would write about late and skipped rounds between our own lines, in its own form. */
const SILENT = { debug: say, info: say, warn: say, error: say }

/**
 * Everything that happens by the clock. A round that is still running is not begun again.
 *
 * node-cron waits for a moment: where the machine's time is set back by an hour, nothing would happen for an hour, and where
 * it is set ahead by years it would count all the rounds in between. So the time is watched, and when it has jumped all
 * is scheduled anew.
 */
export class Schedule {
  readonly #tasks: ScheduledTask[] = []
  readonly #running = new Map<ScheduledJob, Promise<void>>()
  readonly #onError: (job: string, error: unknown) => void
  #jobs: readonly ScheduledJob[] = []
  #watch: NodeJS.Timeout | null = null
  #setAt = 0
  readonly #stopping = new AbortController()

  constructor(onError: (job: string, error: unknown) => void) {
    this.#onError = onError
  }

  start(jobs: readonly ScheduledJob[]): void {
    this.#jobs = jobs
    this.#arm()
    this.#watch = setInterval(() => this.#look(), LOOK_MS)
  }

  /** Begins no further round and resolves when those under way are over. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    if (this.#watch !== null) clearInterval(this.#watch)
    await this.#disarm()
    await Promise.all(this.#running.values())
  }

  #arm(): void {
    this.#setAt = timeSetAt()
    for (const job of this.#jobs) {
      const options = { name: job.name, timezone: 'UTC', noOverlap: true, logger: SILENT }
      this.#tasks.push(schedule(job.cron, ({ date }) => this.#round(job, date), options))
    }
  }

  async #disarm(): Promise<void> {
    for (const task of this.#tasks.splice(0)) await task.destroy()
  }

  #look(): void {
    if (Math.abs(timeSetAt() - this.#setAt) < JUMP_MS) return
    void this.#disarm()
    this.#arm()
  }

  #round(job: ScheduledJob, at: Date): Promise<void> {
    // node-cron knows of no round that was begun before all was scheduled anew.
    const before = this.#running.get(job)
    if (before !== undefined) return before
    const running = job
      .run(this.#stopping.signal, at)
      .catch((error: unknown) => this.#onError(job.name, error))
      .finally(() => this.#running.delete(job))
    this.#running.set(job, running)
    return running
  }
}

/** When the clock that nobody sets began, by the machine's time: the same, as long as nobody sets that. */
function timeSetAt(): number {
  return systemClock.now() - systemClock.monotonic()
}
