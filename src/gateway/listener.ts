import type { AddressInfo } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type { Settings } from '../config/settings.ts'
import type { Door, Gateway } from '../gateway.ts'
import { createServer } from '../http/server.ts'

const MAX_LINGER_MS = 1_000
const LINGER_POLL_MS = 10

/** A gateway with a server of its own in front. Inside of another Fastify there is none: see `plugins.ts`. */
export class Listener implements Door {
  readonly #gateway: Gateway
  readonly #settings: Settings
  readonly server: FastifyInstance

  constructor(gateway: Gateway, settings: Settings) {
    this.#gateway = gateway
    this.#settings = settings
    this.server = createServer(gateway.http)
  }

  get leaveAfterMs(): number {
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
   * Serves on for `SHUTDOWN_DELAY_SECONDS` while `/readyz` already answers 503, then lets requests under way finish and
   * closes the gateway.
   */
  end(): Promise<void> {
    return this.#gateway.close(this)
  }

  /**
   * Closes the door only when nobody has come for a while, and idle connections when they have been silent for a while: a
   * client in the middle of its work may have sent its next request when we close, and would never learn what became of it.
   * It gets an answer, and with it is told to go.
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

  cut(): void {
    this.server.server.closeAllConnections()
  }

  #countConnections(): Promise<number> {
    return new Promise((resolve) => this.server.server.getConnections((_error, count) => resolve(count)))
  }
}
