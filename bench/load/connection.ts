import { connect } from 'node:net'

const HEAD_END = Buffer.from('\r\n\r\n')
const CONTENT_LENGTH = Buffer.from('ontent-length: ')
const OK = Buffer.from('HTTP/1.1 20')
const LENGTH_DIGITS = 9

export interface Exchange {
  /** The next request; null ends the connection. */
  readonly next: () => Buffer | null
  readonly answered: (latencyMs: number) => void
}

/**
 * One keep-alive connection, which sends a request, reads the answer whole, and sends the next one. A raw socket, because an
 * HTTP client would take more of the CPU than the services that are measured.
 */
export class HttpConnection {
  readonly #exchange: Exchange
  readonly #socket
  readonly closed: Promise<void>
  #pending: Buffer | null = null
  #missing = 0
  #sentAt = 0

  constructor(port: number, exchange: Exchange) {
    this.#exchange = exchange
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.closed = new Promise((resolve, reject) => {
      this.#socket.once('close', resolve).once('error', reject)
      this.#socket.once('connect', () => this.#send())
      this.#socket.on('data', (chunk) => {
        try {
          this.#read(chunk)
        } catch (error) {
          reject(error)
          this.#socket.destroy()
        }
      })
    })
  }

  #send(): void {
    const request = this.#exchange.next()
    if (request === null) {
      this.#socket.destroy()
      return
    }
    this.#sentAt = performance.now()
    this.#socket.write(request)
  }

  #read(chunk: Buffer): void {
    if (this.#missing > 0) {
      this.#take(chunk.length)
      return
    }
    const head = this.#pending === null ? chunk : Buffer.concat([this.#pending, chunk])
    const end = head.indexOf(HEAD_END)
    if (end < 0) {
      this.#pending = head
      return
    }
    this.#pending = null
    if (head.compare(OK, 0, OK.length, 0, OK.length) !== 0) throw new Error(head.toString())
    this.#missing = end + HEAD_END.length + bodyLength(head)
    this.#take(head.length)
  }

  #take(bytes: number): void {
    this.#missing -= bytes
    if (this.#missing > 0) return
    this.#exchange.answered(performance.now() - this.#sentAt)
    this.#send()
  }
}

function bodyLength(head: Buffer): number {
  const at = head.indexOf(CONTENT_LENGTH)
  if (at < 0) throw new Error(`no length: ${head.toString()}`)
  const from = at + CONTENT_LENGTH.length
  return Number.parseInt(head.toString('latin1', from, from + LENGTH_DIGITS), 10)
}
