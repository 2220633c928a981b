import { type ScheduledTask, schedule } from 'node-cron'

export interface ScheduledJob {
  readonly name: string
  /** In node-cron's form, seconds first; UTC, so that no change of clocks skips or repeats a round. */
  readonly cron: string
  readonly run: () => Promise<void>
}

const say = () => undefined
/** node-cron would write about late and skipped rounds between our own lines, in its own form. */
const SILENT = { debug: say, info: say, warn: say, error: say }

/** Everything that happens by the clock. A round that is still running is not begun again. */
export class Schedule {
  readonly #tasks: ScheduledTask[] = []
  readonly #running = new Set<Promise<void>>()
  readonly #onError: (job: string, error: unknown) => void

  constructor(onError: (job: string, error: unknown) => void) {
    this.#onError = onError
  }

  start(jobs: readonly ScheduledJob[]): void {
    for (const job of jobs) {
      const options = { name: job.name, timezone: 'UTC', noOverlap: true, logger: SILENT }
      this.#tasks.push(schedule(job.cron, () => this.#round(job), options))
    }
  }

  /** Begins no further round and resolves when those under way are over. */
  async stop(): Promise<void> {
    for (const task of this.#tasks.splice(0)) await task.destroy()
    await Promise.all(this.#running)
  }

  #round(job: ScheduledJob): Promise<void> {
    const running = job
      .run()
      .catch((error: unknown) => this.#onError(job.name, error))
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
    return running
  }
}
