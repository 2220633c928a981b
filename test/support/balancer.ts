import { setTimeout as sleep } from 'node:timers/promises'

const CHECK_MS = 100

/** What a proxy in front of several gateways does: each request goes to the next gateway that says it is ready. */
export class Balancer {
  readonly #gateways = new Map<string, { isReady: boolean }>()
  #turn = 0
  #isEnded = false
  readonly #checks: Promise<void>

  constructor() {
    this.#checks = this.#checkAll()
  }

  async add(url: string): Promise<void> {
    const gateway = { isReady: false }
    this.#gateways.set(url, gateway)
    while (!gateway.isReady) await sleep(CHECK_MS)
  }

  remove(url: string): void {
    this.#gateways.delete(url)
  }

  /** The address for the next request. Throws if no gateway is ready. */
  next(): string {
    const ready = [...this.#gateways].filter(([, { isReady }]) => isReady)
    const [url] = ready[this.#turn++ % ready.length] ?? []
    if (url === undefined) throw new Error('no gateway is ready')
    return url
  }

  async end(): Promise<void> {
    this.#isEnded = true
    await this.#checks
  }

  async #checkAll(): Promise<void> {
    while (!this.#isEnded) {
      await Promise.all([...this.#gateways].map(([url, gateway]) => check(url, gateway)))
      await sleep(CHECK_MS)
    }
  }
}

async function check(url: string, gateway: { isReady: boolean }): Promise<void> {
  try {
    gateway.isReady = (await fetch(`${url}/readyz`)).ok
  } catch {
    gateway.isReady = false
  }
}
