import { type ScheduledTask, schedule } from 'node-cron'
import { systemClock } from '../lib/clock.ts'

export interface ScheduledJob {
  readonly name: string
  /** In node-cron's form, with the seconds first. In UTC, so that daylight saving time neither skips nor repeats a round. */
  readonly cron: string
  /** `signal` aborts at the shutdown, so that a round can end early. `at` is the moment that `cron` names. */
  readonly run: (signal: AbortSignal, at: Date) => Promise<void>
}

const CHECK_MS = 1_000
/** When the machine's time differs from the monotonic clock by more than this, all jobs are scheduled again. */
const JUMP_MS = 1_000
const ignore = () => undefined
/** node-cron would log late and skipped rounds in its own form. */
const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/**
 * Runs jobs at fixed times. A round does not start while the previous one is running.
 *
 * node-cron waits for a time of the machine's clock. If the clock is set back by an hour, no job would run for an hour. If it is
 * set ahead by years, node-cron would count all rounds in between. So this class checks the clock, and schedules all jobs again
 * after a jump.
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
    this.#watch = setInterval(() => this.#checkTime(), CHECK_MS)
  }

  /** Starts no more rounds, and resolves when the running ones have ended. */
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

  #checkTime(): void {
    if (Math.abs(timeSetAt() - this.#setAt) < JUMP_MS) return
    void this.#disarm()
    this.#arm()
  }

  #round(job: ScheduledJob, at: Date): Promise<void> {
    // node-cron does not know the rounds that started before the last scheduling.
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

/** The machine's time at the zero of the monotonic clock. It changes only when the machine's time is set. */
function timeSetAt(): number {
  return systemClock.now() - systemClock.monotonic()
}
