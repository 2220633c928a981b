import type { Logger } from '../logger.ts'

const FORCED_EXIT_MS = 5_000
/** When npm started the process, Ctrl-C arrives twice: from the terminal, and forwarded by npm. */
const SAME_SIGNAL_MS = 1_000

/**
 * Closes everything that was opened, once, in reverse order. It runs after a failed start, and after a signal, which also ends the
 * process.
 *
 *   running ──signal──▶ begun ──all closed──▶ exit 0    (another signal, a fault, or a close that hangs: exit 1)
 */
export class Shutdown {
  readonly #graceMs: number
  readonly #log: Logger
  readonly #closers: (() => Promise<void>)[] = []
  #begunAt: number | null = null

  constructor(graceMs: number, log: Logger) {
    this.#graceMs = graceMs
    this.#log = log
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#begin(signal))
  }

  get begun(): boolean {
    return this.#begunAt !== null
  }

  /** Registers the closer before the part is open. A signal in between waits until it is open and then closes it. */
  async open<T>(opening: T | Promise<T>, close: (opened: T) => Promise<void>): Promise<T> {
    const opened = Promise.resolve(opening)
    this.#closers.push(() => opened.then(close, () => undefined))
    return opened
  }

  async close(): Promise<void> {
    const results: PromiseSettledResult<void>[] = []
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      results.push(...(await Promise.allSettled([closer()])))
    }
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  #begin(signal: string): void {
    const now = performance.now()
    if (this.#begunAt !== null) {
      if (now - this.#begunAt > SAME_SIGNAL_MS) process.exit(1)
      return
    }
    this.#begunAt = now
    this.#log.info({ signal }, 'stopping')
    setTimeout(() => process.exit(1), this.#graceMs + FORCED_EXIT_MS).unref()
    this.close().then(
      () => {
        this.#log.info('stopped')
        process.exit(0)
      },
      (err: unknown) => {
        this.#log.error({ err }, 'shutdown failed')
        process.exit(1)
      },
    )
  }
}
