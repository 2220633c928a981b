export interface WorkerOptions<Job> {
  /** Takes up to `limit` jobs that are due, so that no other replica does. */
  readonly claim: (limit: number) => Promise<readonly Job[]>
  readonly run: (job: Job) => Promise<void>
  /**
   * Called with what `run` threw (the job is claimed again when its lease is over), and with the first of the errors in a
   * row that `claim` threw: looking for work fails every time while the catalog is away.
   */
  readonly onError: (error: unknown) => void
  readonly concurrency: number
  /** How often to look for work that nobody woke us for: retries, and what a dead replica left behind. */
  readonly pollMs: number
}

/** Works off jobs that live in the catalog: on `wake` at once, and by polling. A crash loses nothing but time. */
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

  /** Looks for work now. */
  wake(): void {
    if (this.#stopped) return
    this.#again = true
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null
      if (this.#again) this.wake()
    })
  }

  /** Takes no more work and resolves when what runs is done. */
  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#timer !== null) clearInterval(this.#timer)
    await this.#looking
    await Promise.all(this.#running)
  }

  async #look(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false
      const room = this.#options.concurrency - this.#running.size
      if (room <= 0) return
      try {
        const jobs = await this.#options.claim(room)
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
