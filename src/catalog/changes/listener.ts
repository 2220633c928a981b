import type pg from 'pg'

export const CHANNEL = 'freehold_changes'
const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 30_000

/** What the catalog's followers write about themselves. */
export interface ChangeLog {
  warn(fields: object, message: string): void
}

export interface ListenerOptions {
  /** Opens one connection to the catalog, within a deadline of its own. */
  connect: () => Promise<pg.Client>
  /** Called for each notification, and after each (re)connection: what was sent meanwhile is lost for ever. */
  wake: () => void
  log: ChangeLog
}

/**
 * Keeps one LISTEN connection.
 *
 *   connecting ──listening──▶ listening ──connection lost──▶ waiting ──delay over──▶ connecting
 *       └────────failed────────────────────────────────────────▲
 *
 * From each of them `stop` leads to stopped. Delays double up to 30 s and are jittered down to half, so that the
 * replicas of a restarted catalog do not all knock at once.
 */
export class ChangeListener {
  readonly #options: ListenerOptions
  #client: pg.Client | null = null
  #retry: NodeJS.Timeout | null = null
  #connecting: Promise<void> | null = null
  #failures = 0
  #stopped = false

  constructor(options: ListenerOptions) {
    this.#options = options
  }

  /** Tries once; when that fails it goes on trying in the background. Never rejects. */
  async start(): Promise<void> {
    this.#stopped = false
    this.#connecting = this.#connect()
    await this.#connecting
  }

  get listening(): boolean {
    return this.#client !== null
  }

  async stop(): Promise<void> {
    this.#stopped = true
    if (this.#retry !== null) clearTimeout(this.#retry)
    await this.#connecting
    await close(this.#client)
    this.#client = null
  }

  async #connect(): Promise<void> {
    let client: pg.Client | null = null
    try {
      client = await this.#options.connect()
      this.#watch(client)
      await client.query(`listen ${CHANNEL}`)
      await this.#connected(client)
    } catch (error) {
      await close(client)
      this.#retryLater(error)
    }
  }

  async #connected(client: pg.Client): Promise<void> {
    if (this.#stopped) return close(client)
    this.#client = client
    this.#failures = 0
    this.#options.wake()
  }

  #watch(client: pg.Client): void {
    client.on('notification', () => this.#options.wake())
    // pg says both when a connection breaks; 'error' without a listener would end the process.
    client.on('error', () => undefined)
    client.once('end', () => this.#lost(client))
  }

  #lost(client: pg.Client): void {
    if (this.#client !== client) return
    this.#client = null
    this.#retryLater(null)
  }

  #retryLater(error: unknown): void {
    if (this.#stopped) return
    const delay = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(this.#failures, 16))
    this.#failures += 1
    this.#options.log.warn({ err: error, failures: this.#failures }, 'not listening for catalog changes')
    const retry = () => {
      this.#connecting = this.#connect()
    }
    this.#retry = setTimeout(retry, delay * (0.5 + Math.random() / 2))
  }
}

async function close(client: pg.Client | null): Promise<void> {
  await client?.end().catch(() => undefined)
}
