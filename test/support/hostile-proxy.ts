import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** What replaces a message of the server: itself, other messages, or none. `type` is its first letter. */
export type Attack = (whole: Buffer, type: string) => readonly Buffer[]

/** A proxy between a gateway and a PostgreSQL that can replace messages of the server. */
export class HostileProxy {
  attack: Attack | null = null
  readonly #server: Server
  readonly #target: { host: string; port: number }
  readonly #sockets = new Set<Socket>()

  private constructor(target: { host: string; port: number }) {
    this.#target = target
    this.#server = createServer((client) => this.#join(client))
  }

  static async start(url: string): Promise<HostileProxy> {
    const { hostname, port } = new URL(url)
    const proxy = new HostileProxy({ host: hostname, port: Number(port) })
    await once(proxy.#server.listen(0, '127.0.0.1'), 'listening')
    return proxy
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port
  }

  /** `url` with the proxy in place of the server it names. */
  urlFor(url: string): string {
    const changed = new URL(url)
    Object.assign(changed, { hostname: '127.0.0.1', port: String(this.port) })
    changed.searchParams.set('sslmode', 'disable')
    return changed.href
  }

  /** Ends the open connections, so that new ones must be opened. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  close(): void {
    this.#server.close()
    this.cut()
  }

  #join(client: Socket): void {
    const server = connect(this.#target)
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket.setNoDelay())
      socket.on('error', () => socket.destroy())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    client.pipe(server)
    let rest = Buffer.alloc(0)
    server.on('data', (chunk) => {
      rest = Buffer.concat([rest, chunk])
      const said: Buffer[] = []
      for (let whole = firstOf(rest); whole !== null; whole = firstOf(rest)) {
        rest = rest.subarray(whole.length)
        said.push(...(this.attack?.(whole, String.fromCharCode(whole[0] ?? 0)) ?? [whole]))
      }
      client.write(Buffer.concat(said))
    })
  }
}

function firstOf(bytes: Buffer): Buffer | null {
  if (bytes.length < 5) return null
  const end = 1 + bytes.readInt32BE(1)
  return bytes.length < end ? null : bytes.subarray(0, end)
}
