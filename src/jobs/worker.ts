export interface WorkerOptions<Job> {
  /** Claims up to `limit` due jobs, so that no other replica takes them. */
  readonly claim: (limit: number) => Promise<readonly Job[]>
  readonly run: (job: Job) => Promise<void>
  /**
   * Called with every error of `run`. Such a job is claimed again when its lease ends. If several claims in a row fail, called only
   * for the first, because every claim fails while the catalog does not answer.
   */
  readonly onError: (error: unknown) => void
  readonly concurrency: number
  /** How often to look for work without a wake-up: retries, and jobs of a replica that died. */
  readonly pollMs: number
}

/** Works on the catalog's jobs: at once after `wake`, and by polling. After a crash another replica continues them. */
export class Worker<Job> {
  readonly #options: WorkerOptions<Job>
  readonly #running = new Set<Promise<void>>()
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null
  #again = false
  #claimFailed = false
  #stopped = true

  constructor(options: WorkerOptions<Job>) {
    this.#options = options
  }

  start(): void {
    this.#stopped = false
    this.#timer = setInterval(() => this.wake(), this.#options.pollMs)
    this.wake()
  }

  wake(): void {
    if (this.#stopped) return
    this.#again = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
      if (this.#again) this.wake()
    })
  }

  /** Claims no more jobs, and resolves when the running ones have ended. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#looking
    await Promise.all(this.#running)
  }

  async #look(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      const free = this.#options.concurrency - this.#running.size
      if (free <= 0) return
      try {
        const jobs = await this.#options.claim(free)
        this.#claimFailed = false
        for (const job of jobs) this.#begin(job)
      } catch (error) {
        if (!this.#claimFailed) this.#options.onError(error)
        this.#claimFailed = true
      }
    }
  }

  #begin(job: Job): void {
    const running = this.#options
      .run(job)
      .catch(this.#options.onError)
      .finally(() => {
        this.#running.delete(running)
        this.wake()
      })
    this.#running.add(running)
  }
}
