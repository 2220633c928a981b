import type pg from 'pg'

export const CHANNEL = 'freehold_changes'
const FIRST_DELAY_MS = 250
const MAX_DELAY_MS = 30_000

/** The log of the followers of the catalog. */
export interface ChangeLog {
  warn(fields: object, message: string): void
}

export interface ListenerOptions {
  /** Opens one connection to the catalog, within a deadline of its own. */
  connect: () => Promise<pg.Client>
  /** Called for each notification, and after each connection: notifications that were sent meanwhile are lost. */
  wake: () => void
  log: ChangeLog
}

/**
 * Keeps one LISTEN connection.
 *
 *   connecting ──listening──▶ listening ──connection lost──▶ waiting ──delay over──▶ connecting
 *       └────────failed────────────────────────────────────────▲
 *
 * `stop` leads from every state to stopped. Delays double up to 30 s; each is shortened at random by up to a half, so that not all
 * replicas connect to a restarted catalog at once.
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

  /** Waits for the first attempt. If it fails, attempts go on in the background. Never rejects. */
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
    // A broken connection emits both events. Without a listener for 'error' Node would end the process.
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
