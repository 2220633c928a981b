import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

const STARTUP = 196_608

/**
 * A proxy between a client and a PostgreSQL that passes everything on and counts the client's messages. A client waits for the
 * server only after a Sync, a Flush or a simple Query, so those are its round trips. It reads clear text only.
 */
export class Wiretap {
  /** Sync, Flush and Query messages so far: the round trips of connections that are open. */
  roundTrips = 0
  /** Execute and Query messages so far. */
  executions = 0
  /** Statements that were prepared under a name. Requests send these; checks and housekeeping do not. */
  named = 0
  /** Connections accepted so far. */
  accepted = 0
  /** The texts of all parsed statements, in order. A named one appears once per connection. */
  readonly statements: string[] = []
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly #url: URL

  private constructor(url: URL) {
    this.#url = url
    this.#server = createServer((client) => this.#join(client))
  }

  /** Starts one for the server of `url`. */
  static async start(url: string): Promise<Wiretap> {
    const tap = new Wiretap(new URL(url))
    tap.#server.listen(0, '127.0.0.1')
    await once(tap.#server, 'listening')
    return tap
  }

  /** The same URL, through the proxy. */
  get url(): string {
    const address = this.#server.address()
    const url = new URL(this.#url)
    url.hostname = '127.0.0.1'
    url.port = String(address !== null && typeof address === 'object' ? address.port : 0)
    url.searchParams.set('sslmode', 'disable')
    return url.href
  }

  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #join(client: Socket): void {
    this.accepted++
    const server = connect({ host: this.#url.hostname, port: Number(this.#url.port || 5432) })
    const reader = new MessageReader((type, body) => this.#count(type, body))
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from)
      from.setNoDelay(true)
      from.on('error', () => to.destroy())
      from.on('close', () => {
        this.#sockets.delete(from)
        to.end()
      })
    }
    client.on('data', (chunk) => {
      reader.read(chunk)
      server.write(chunk)
    })
    server.on('data', (chunk) => client.write(chunk))
  }

  #count(type: string, body: Buffer): void {
    if (type === 'S' || type === 'H' || type === 'Q') this.roundTrips++
    if (type === 'E' || type === 'Q') this.executions++
    // Bind: the portal's name, then the statement's, both ended by a zero byte.
    if (type === 'B' && body[body.indexOf(0) + 1] !== 0) this.named++
    if (type === 'Q') this.statements.push(textAt(body, 0))
    // Parse: the statement's name, then its text, both ended by a zero byte.
    if (type === 'P') this.statements.push(textAt(body, body.indexOf(0) + 1))
  }
}

function textAt(body: Buffer, start: number): string {
  return body.toString('utf8', start, body.indexOf(0, start))
}

/** Divides a client's bytes into messages. The startup message and those before it have no type and are not reported. */
class MessageReader {
  readonly #tell: (type: string, body: Buffer) => void
  #rest = Buffer.alloc(0)
  #started = false

  constructor(tell: (type: string, body: Buffer) => void) {
    this.#tell = tell
  }

  read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk])
    for (;;) {
      const head = this.#started ? 1 : 0
      if (this.#rest.length < head + 4) return
      const end = head + this.#rest.readInt32BE(head)
      if (this.#rest.length < end) return
      const body = this.#rest.subarray(head + 4, end)
      if (this.#started) this.#tell(String.fromCharCode(this.#rest[0] ?? 0), body)
      else this.#started = body.readInt32BE(0) === STARTUP
      this.#rest = this.#rest.subarray(end)
    }
  }
}
