import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Settings } from '../config/settings.ts'
import type { Gateway } from '../gateway.ts'
import { createServer } from '../http/server.ts'
import type { RequestListener } from './shutdown.ts'

const MAX_LINGER_MS = 1_000
const LINGER_POLL_MS = 10

/** The HTTP server of a gateway. A gateway inside another Fastify has none: see `plugins.ts`. */
export class HttpListener implements RequestListener {
  readonly #gateway: Gateway
  readonly #settings: Settings
  readonly server: FastifyInstance

  constructor(gateway: Gateway, settings: Settings) {
    this.#gateway = gateway
    this.#settings = settings
    this.server = createServer(gateway.http)
  }

  get shutdownDelayMs(): number {
    return this.#settings.shutdownDelayMs
  }

  /** Opens the port. */
  async listen(): Promise<AddressInfo> {
    const { host, port } = this.#settings
    const { log, settings } = this.#gateway.http
    await this.server.listen({ host, port })
    const address = this.server.server.address() as AddressInfo
    if (settings.connections !== undefined) log.info({ ...settings.connections }, 'HTTP connections limited')
    log.info({ address: address.address, port: address.port, host }, 'listening')
    return address
  }

  /**
   * Makes `/readyz` answer 503 and still serves for `SHUTDOWN_DELAY_SECONDS`. Then waits for the running requests and closes the
   * gateway.
   */
  end(): Promise<void> {
    return this.#gateway.close(this)
  }

  /**
   * Waits for a second, or until no client has been connected for a while. A client may just have sent its next request when the server
   * closes the connection, and would not learn its outcome. During the wait it gets the answer, with `connection: close`.
   */
  async close(): Promise<void> {
    const lingerMs = Math.min(MAX_LINGER_MS, this.#settings.shutdownGraceMs / 10)
    const deadline = performance.now() + lingerMs
    let busyAt = performance.now()
    while (performance.now() < deadline && performance.now() - busyAt <= lingerMs / 4) {
      await delay(LINGER_POLL_MS)
      if ((await this.#countConnections()) > 0) busyAt = performance.now()
    }
    await this.server.close()
  }

  cutConnections(): void {
    this.server.server.closeAllConnections()
  }

  #countConnections(): Promise<number> {
    return new Promise((resolve) => this.server.server.getConnections((_error, count) => resolve(count)))
  }
}
