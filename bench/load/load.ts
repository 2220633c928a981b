/** The load generator, in a process of its own. It takes orders from its parent and sends back what it measured. */
import { setTimeout as sleep } from 'node:timers/promises'
import { latencyQuantiles } from '../statistics.ts'
import { HttpConnection } from './connection.ts'
import { type Clocks, readClocks, spentBetween } from './cpu.ts'
import type { Harvest, Order, WireRequest } from './order.ts'

type Phase = 'warm-up' | 'measure' | 'over'

/** Counts the answers of one order. */
class Run {
  readonly #order: Order
  readonly #requests: readonly Buffer[]
  readonly #beside: readonly Buffer[]
  readonly #latencies: number[] = []
  #sent = 0
  #phase: Phase = 'warm-up'

  constructor(order: Order) {
    this.#order = order
    this.#requests = order.requests.map((request) => bytesOf(request, order.port))
    this.#beside = (order.beside ?? []).map((request) => bytesOf(request, order.port))
  }

  async harvest(): Promise<Harvest> {
    const { isOnce = false, connections, port, warmUpMs, measureMs } = this.#order
    const disturbing = this.#beside.map((request) => this.#repeat(request))
    if (isOnce) this.#phase = 'measure'
    const before = isOnce ? readClocks(this.#order) : null
    const exchange = { next: () => this.#next(), answered: (latencyMs: number) => this.#answered(latencyMs) }
    const counted = Array.from({ length: connections }, () => new HttpConnection(port, exchange))
    const closed = Promise.all([...counted, ...disturbing].map((each) => each.closed))
    if (before !== null) {
      await closed
      return this.#result(before)
    }
    await Promise.race([closed, sleep(warmUpMs)])
    this.#phase = 'measure'
    // Read here and not by the parent, so that requests and CPU time are counted over the same time.
    const from = readClocks(this.#order)
    await Promise.race([closed, sleep(measureMs)])
    const result = this.#result(from)
    this.#phase = 'over'
    await closed
    return result
  }

  #result(from: Clocks): Harvest {
    const spent = spentBetween(from, readClocks(this.#order), this.#latencies.length)
    return { ...spent, ...latencyQuantiles(this.#latencies), sent: this.#sent }
  }

  #next(): Buffer | null {
    const { trace, isOnce } = this.#order
    if (this.#phase === 'over') return null
    const i = this.#sent
    if (isOnce && i >= this.#requests.length) return null
    this.#sent += 1
    const index = trace === undefined ? i : (trace[i % trace.length] ?? 0)
    return this.#requests[index % this.#requests.length] ?? null
  }

  #answered(latencyMs: number): void {
    if (this.#phase === 'measure') this.#latencies.push(latencyMs)
  }

  #repeat(request: Buffer): HttpConnection {
    const next = () => (this.#phase === 'over' ? null : request)
    return new HttpConnection(this.#order.port, { next, answered: () => undefined })
  }
}

function bytesOf({ method, path, token, body }: WireRequest, port: number): Buffer {
  const content =
    body === undefined ? [] : ['Content-Type: application/json', `Content-Length: ${Buffer.byteLength(body)}`]
  const head = [`${method} ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, `Authorization: Bearer ${token}`]
  return Buffer.from(`${[...head, ...content].join('\r\n')}\r\n\r\n${body ?? ''}`)
}

process.on('message', (order: Order) => {
  new Run(order).harvest().then(
    (harvest) => process.send?.(harvest),
    (error: unknown) => {
      process.stderr.write(`${error}\n`)
      process.exit(1)
    },
  )
})
