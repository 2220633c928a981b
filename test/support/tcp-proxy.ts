import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * pass: bytes go through. refuse: nobody listens (connections that exist stay). black-hole: connecting works, but
 * no byte gets through, in either direction, until the mode changes. delay: every chunk arrives later by that much.
 */
export type ProxyMode = 'pass' | 'refuse' | 'black-hole' | { delayMs: number }

/** Stands between a client and a server on the loopback address and spoils what passes. */
export class TcpProxy {
  readonly host = '127.0.0.1'
  readonly #target: { host: string; port: number }
  readonly #links = new Set<Link>()
  #listener: Server | null = null
  #port = 0
  #mode: ProxyMode = 'pass'
  #accepted = 0

  private constructor(target: { host: string; port: number }) {
    this.#target = target
  }

  /** Starts a proxy in front of `target` on a port of its own. */
  static async start(target: { host?: string; port: number }): Promise<TcpProxy> {
    const proxy = new TcpProxy({ host: target.host ?? '127.0.0.1', port: target.port })
    await proxy.#listen()
    return proxy
  }

  get port(): number {
    return this.#port
  }

  /** How many connections have been accepted so far. */
  get accepted(): number {
    return this.#accepted
  }

  /** How many connections are open now. */
  get open(): number {
    return this.#links.size
  }

  async setMode(mode: ProxyMode): Promise<void> {
    this.#mode = mode
    if (mode === 'refuse') await this.#unlisten()
    else await this.#listen()
    for (const link of this.#links) link.apply(mode)
  }

  /** Ends every open connection with a TCP reset on both sides. */
  resetConnections(): void {
    for (const link of this.#links) link.reset()
  }

  async close(): Promise<void> {
    await this.#unlisten()
    this.resetConnections()
  }

  /** `url` with the proxy in place of the server it names. */
  urlFor(url: string): string {
    const changed = new URL(url)
    changed.hostname = this.host
    changed.port = String(this.#port)
    return changed.href
  }

  async #listen(): Promise<void> {
    if (this.#listener !== null) return
    // Half-open is allowed so that one side's FIN is passed on like everything else.
    this.#listener = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) =>
      this.#accept(socket),
    )
    this.#listener.listen(this.#port, this.host)
    await once(this.#listener, 'listening')
    const address = this.#listener.address()
    if (address !== null && typeof address === 'object') this.#port = address.port
  }

  async #unlisten(): Promise<void> {
    const listener = this.#listener
    this.#listener = null
    // Not awaited to its end: that comes only when the last connection has gone.
    listener?.close()
  }

  #accept(socket: Socket): void {
    this.#accepted++
    const link = new Link(socket, this.#target, () => this.#links.delete(link))
    this.#links.add(link)
    link.apply(this.#mode)
  }
}

/** One client's connection with, once bytes may flow, its counterpart to the server. */
class Link {
  readonly #client: Socket
  readonly #target: { host: string; port: number }
  readonly #onClosed: () => void
  #server: Socket | null = null
  #delayMs = 0

  constructor(client: Socket, target: { host: string; port: number }, onClosed: () => void) {
    this.#client = client
    this.#target = target
    this.#onClosed = onClosed
    this.#watch(client)
  }

  apply(mode: ProxyMode): void {
    this.#delayMs = typeof mode === 'object' ? mode.delayMs : 0
    if (mode === 'black-hole') {
      this.#client.pause()
      this.#server?.pause()
      return
    }
    if (this.#server === null) this.#join()
    this.#client.resume()
    this.#server?.resume()
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server?.resetAndDestroy()
    this.#onClosed()
  }

  #join(): void {
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true })
    this.#server = server
    this.#client.setNoDelay(true)
    this.#watch(server)
    this.#forward(this.#client, server)
    this.#forward(server, this.#client)
  }

  #forward(from: Socket, to: Socket): void {
    let queue: Promise<unknown> = Promise.resolve()
    // Chained, so that a shorter delay set later does not let bytes overtake each other.
    const later = (act: () => void) => {
      queue = Promise.all([queue, this.#delayMs > 0 ? sleep(this.#delayMs) : null]).then(act)
    }
    from.on('data', (chunk) => later(() => to.writable && to.write(chunk)))
    from.on('end', () => later(() => to.end()))
  }

  #watch(socket: Socket): void {
    socket.on('error', () => this.reset())
    socket.on('close', () => {
      if (this.#client.destroyed && (this.#server?.destroyed ?? true)) this.#onClosed()
    })
  }
}
