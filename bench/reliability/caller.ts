import { Agent, request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** One answer and its time in ms. Status 0: there was no answer. */
export interface Answer {
  readonly status: number
  readonly text: string
  readonly tookMs: number
}

export interface Ask {
  readonly token?: string
  readonly body?: unknown
}

/** Sends requests to one gateway over as many keep-alive connections as needed. */
export class Caller {
  readonly #port: number
  readonly #agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY })

  constructor(port: number) {
    this.#port = port
  }

  /** Sends a request and reads the whole answer. Never rejects. */
  ask(method: string, path: string, { token, body }: Ask = {}): Promise<Answer> {
    const begun = performance.now()
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
      ...(text !== undefined && { 'content-type': 'application/json' }),
    }
    return new Promise((resolve) => {
      const settle = (status: number, said: string) =>
        resolve({ status, text: said, tookMs: performance.now() - begun })
      const asked = request({
        host: '127.0.0.1',
        port: this.#port,
        method,
        path,
        headers,
        agent: this.#agent,
      })
      asked.once('error', (error) => settle(0, error.message))
      asked.once('response', (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.once('error', (error) => settle(0, error.message))
        response.once('end', () => settle(response.statusCode ?? 0, Buffer.concat(chunks).toString()))
      })
      asked.end(text)
    })
  }

  close(): void {
    this.#agent.destroy()
  }
}

/** Sends requests until it is stopped, `callers` at a time, each with a pause after its answer. */
export class Load {
  readonly answers: Answer[] = []
  readonly #done: Promise<unknown>
  #stopping = false

  constructor(callers: number, pauseMs: number, ask: (n: number) => Promise<Answer>) {
    this.#done = Promise.all(Array.from({ length: callers }, (_, at) => this.#work(at, { pauseMs, ask })))
  }

  async stop(): Promise<readonly Answer[]> {
    this.#stopping = true
    await this.#done
    return this.answers
  }

  async #work(
    at: number,
    { pauseMs, ask }: { pauseMs: number; ask: (n: number) => Promise<Answer> },
  ): Promise<void> {
    for (let n = at; !this.#stopping; n += 1) {
      this.answers.push(await ask(n))
      if (pauseMs > 0) await sleep(pauseMs)
    }
  }
}
