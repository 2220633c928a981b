/**
 * The load generator, in a process of its own: each connection sends one request, reads the answer whole, and sends the
 * next. Raw sockets, because an HTTP client would take more of the two cores than the services it measures.
 */
import { connect } from 'node:net'
import { cpuOf, cpuOfChildren } from './processes.ts'

/** Which requests to send, and for how long. */
export interface Order {
  readonly port: number
  readonly token: string
  readonly paths: readonly string[]
  readonly connections: number
  readonly warmUpMs: number
  readonly measureMs: number
  /** The service's process, and those whose children are PostgreSQL's backends. */
  readonly pid: number
  readonly postmasters: readonly number[]
}

/** The result of the measured time. Latencies in ms, CPU in µs a request (null if the system does not tell). */
export interface Harvest {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly serverCpu: number | null
  readonly databaseCpu: number | null
}

const HEAD_END = Buffer.from('\r\n\r\n')
const CONTENT_LENGTH = Buffer.from('ontent-length: ')
const OK = Buffer.from('HTTP/1.1 200 ')

/** One keep-alive connection; `next` gives the request to send, or null to end. */
class Line {
  readonly #next: () => Buffer | null
  readonly #answered: (latencyMs: number) => void
  readonly #socket
  readonly #closed: Promise<void>
  #pending: Buffer | null = null
  #missing = 0
  #sentAt = 0

  constructor(port: number, next: () => Buffer | null, answered: (latencyMs: number) => void) {
    this.#next = next
    this.#answered = answered
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true })
    this.#closed = new Promise((resolve, reject) => {
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

  get closed(): Promise<void> {
    return this.#closed
  }

  #send(): void {
    const request = this.#next()
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
    this.#answered(performance.now() - this.#sentAt)
    this.#send()
  }
}

function bodyLength(head: Buffer): number {
  const at = head.indexOf(CONTENT_LENGTH)
  if (at < 0) throw new Error(`no length: ${head.toString()}`)
  return Number.parseInt(
    head.toString('latin1', at + CONTENT_LENGTH.length, at + CONTENT_LENGTH.length + 9),
    10,
  )
}

async function run(order: Order): Promise<Harvest> {
  const requests = order.paths.map((path) => requestFor(path, order))
  const latencies: number[] = []
  let asked = 0
  let phase: 'warm-up' | 'measure' | 'over' = 'warm-up'
  const next = () => (phase === 'over' ? null : (requests[asked++ % requests.length] ?? null))
  const answered = (latencyMs: number) => {
    if (phase === 'measure') latencies.push(latencyMs)
  }
  const lines = Array.from({ length: order.connections }, () => new Line(order.port, next, answered))
  const closed = Promise.all(lines.map((line) => line.closed))
  await Promise.race([closed, sleep(order.warmUpMs)])
  phase = 'measure'
  // Read here and not by the parent, so that requests and CPU time are counted over the same time.
  const before = readClocks(order)
  await Promise.race([closed, sleep(order.measureMs)])
  const after = readClocks(order)
  phase = 'over'
  await closed
  return { ...spentBetween(before, after, latencies.length), ...percentiles(latencies) }
}

function requestFor(path: string, { port, token }: Order): Buffer {
  const head = [`GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, `Authorization: Bearer ${token}`]
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n`)
}

interface Clocks {
  readonly ms: number
  readonly server: number | null
  readonly database: number | null
}

function readClocks({ pid, postmasters }: Order): Clocks {
  return { ms: performance.now(), server: cpuOf(pid), database: cpuOfChildren(postmasters) }
}

function spentBetween(before: Clocks, after: Clocks, requests: number) {
  const each = (from: number | null, to: number | null) =>
    from === null || to === null ? null : (to - from) / requests
  return {
    perSecond: (requests * 1_000) / (after.ms - before.ms),
    serverCpu: each(before.server, after.server),
    databaseCpu: each(before.database, after.database),
  }
}

function percentiles(latencies: number[]): { p50: number; p99: number } {
  const sorted = Float64Array.from(latencies).sort()
  const at = (share: number) => sorted[Math.floor(sorted.length * share)] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

process.on('message', (order: Order) => {
  run(order).then(
    (harvest) => process.send?.(harvest),
    (error: unknown) => {
      process.stderr.write(`${error}\n`)
      process.exit(1)
    },
  )
})
