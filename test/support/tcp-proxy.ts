import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'

/**
 * pass: bytes go through. refuse: no process listens (connections that exist stay). black-hole: connecting works, but
 * no byte gets through, in either direction, until the mode changes. delay: every chunk arrives later by that much.
 * slice: every chunk arrives in pieces of that many bytes, one in a turn of the event loop.
 */
export type ProxyMode = 'pass' | 'refuse' | 'black-hole' | { delayMs: number } | { sliceBytes: number }

/** Inspects what a client sends to PostgreSQL, as it arrives from the socket: one message, or some that were written together. */
export type ChunkTest = (chunk: Buffer) => boolean

interface Cut {
  readonly matches: ChunkTest
  readonly isPassedOn: boolean
  readonly done: () => void
}

/** ReadyForQuery: PostgreSQL's last message in the answer to a query, or to everything before a Sync. */
const READY = Buffer.from([0x5a, 0, 0, 0, 5])
const READY_LENGTH = READY.length + 1

/** A proxy between a client and a server on the loopback address that makes connections fail in a chosen way. */
export class TcpProxy {
  readonly host = '127.0.0.1'
  #target: { host: string; port: number }
  readonly #links = new Set<Link>()
  #listener: Server | null = null
  #port = 0
  #mode: ProxyMode = 'pass'
  #cut: Cut | null = null
  #accepted = 0

  private constructor(target: { host: string; port: number }) {
    this.#target = target
  }

  /** Starts a proxy for `target` on a free port. */
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

  /** New connections go to that server. Open ones keep theirs. */
  leadTo({ host = '127.0.0.1', port }: { host?: string; port: number }): void {
    this.#target = { host, port }
  }

  /**
   * Lets the next matching chunk reach the server, waits for the whole answer, holds it back, and resets both sides. It does so
   * on one connection, once. Resolves when it is done.
   */
  cutAfter(matches: ChunkTest): Promise<void> {
    return this.#arm(matches, true)
  }

  /** The same, but the chunk does not reach the server either. */
  cutBefore(matches: ChunkTest): Promise<void> {
    return this.#arm(matches, false)
  }

  /** Cancels a cut that no chunk has matched yet. */
  cancelCut(): void {
    this.#cut = null
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

  #arm(matches: ChunkTest, isPassedOn: boolean): Promise<void> {
    return new Promise((done) => {
      this.#cut = { matches, isPassedOn, done }
    })
  }

  /** The cut that matches this chunk, if any. It is used once. */
  #takeCut(chunk: Buffer): Cut | null {
    const cut = this.#cut
    if (cut === null || !cut.matches(chunk)) return null
    this.#cut = null
    return cut
  }

  async #listen(): Promise<void> {
    if (this.#listener !== null) return
    // Half-open connections are allowed, so that the FIN of one side is passed on like everything else.
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
    // Its end is not awaited, because it comes only when the last connection has closed.
    listener?.close()
  }

  #accept(socket: Socket): void {
    this.#accepted++
    const link = new Link(socket, this.#target, {
      takeCut: (chunk) => this.#takeCut(chunk),
      onClosed: () => this.#links.delete(link),
    })
    this.#links.add(link)
    link.apply(this.#mode)
  }
}

interface LinkEvents {
  readonly takeCut: (chunk: Buffer) => Cut | null
  readonly onClosed: () => void
}

/** A client's connection and, once bytes may pass, its connection to the server. */
class Link {
  readonly #client: Socket
  readonly #target: { host: string; port: number }
  readonly #events: LinkEvents
  #server: Socket | null = null
  #delayMs = 0
  #sliceBytes = Number.POSITIVE_INFINITY
  /** While it is set, the server's answer is held back. */
  #cut: Cut | null = null
  #answer = Buffer.alloc(0)

  constructor(client: Socket, target: { host: string; port: number }, events: LinkEvents) {
    this.#client = client
    this.#target = target
    this.#events = events
    this.#watch(client)
  }

  apply(mode: ProxyMode): void {
    this.#delayMs = typeof mode === 'object' && 'delayMs' in mode ? mode.delayMs : 0
    this.#sliceBytes =
      typeof mode === 'object' && 'sliceBytes' in mode ? mode.sliceBytes : Number.POSITIVE_INFINITY
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
    this.#events.onClosed()
    // A connection that ends before its cut counts as cut.
    this.#cut?.done()
  }

  #join(): void {
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true })
    this.#server = server
    this.#client.setNoDelay(true)
    this.#watch(server)
    this.#forward(this.#client, server, (chunk) => this.#ask(chunk))
    this.#forward(server, this.#client, (chunk) => this.#answerTo(chunk))
  }

  #forward(from: Socket, to: Socket, passes: ChunkTest): void {
    let queue: Promise<unknown> = Promise.resolve()
    // Chained, so that bytes stay in order after a shorter delay was set.
    const later = (act: () => unknown) => {
      queue = Promise.all([queue, this.#delayMs > 0 ? sleep(this.#delayMs) : null]).then(act)
    }
    from.on('data', (chunk: Buffer) => {
      if (passes(chunk)) later(() => this.#write(to, chunk))
    })
    from.on('end', () => later(() => to.end()))
  }

  async #write(to: Socket, chunk: Buffer): Promise<void> {
    for (let from = 0; from < chunk.length && to.writable; from += this.#sliceBytes) {
      if (from > 0) await nextTurn()
      to.write(chunk.subarray(from, from + this.#sliceBytes))
    }
  }

  /** False for bytes that the server must not get. */
  #ask(chunk: Buffer): boolean {
    this.#cut ??= this.#events.takeCut(chunk)
    if (this.#cut === null || this.#cut.isPassedOn) return true
    this.reset()
    return false
  }

  /** False for bytes that the client must not get. */
  #answerTo(chunk: Buffer): boolean {
    if (this.#cut === null) return true
    this.#answer = Buffer.concat([this.#answer, chunk]).subarray(-READY_LENGTH)
    if (this.#answer.subarray(0, READY.length).equals(READY)) this.reset()
    return false
  }

  #watch(socket: Socket): void {
    socket.on('error', () => this.reset())
    socket.on('close', () => {
      if (this.#client.destroyed && (this.#server?.destroyed ?? true)) this.#events.onClosed()
    })
  }
}
