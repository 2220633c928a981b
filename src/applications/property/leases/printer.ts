import { Worker } from 'node:worker_threads'
import { PublicError, problem } from '../../../index.ts'
import type { PrintableDocument } from './lease-pdf.ts'
import type { Printed, PrintOrder } from './printing-thread.ts'

/** Some ten seconds of work. */
const MAX_PENDING = 200
const BUSY = 'Too many documents are being printed.'

/**
 * Prints documents in a thread of its own, started for the first document: the library and the fonts take most of a second to
 * load, and a document up to a tenth of one to draw. On the thread that answers requests all tenants would wait for that.
 */
export class Printer {
  readonly #pending = new Map<number, PromiseWithResolvers<Buffer>>()
  readonly #script: URL
  #thread: Worker | null = null
  #lastNumber = 0

  constructor(script: URL = new URL('./printing-thread.ts', import.meta.url)) {
    this.#script = script
  }

  /**
   * @throws PublicError CONFLICT where a text has a character that the fonts do not have: what people sign must say what it
   *   was made from; NO_CONNECTION_AVAILABLE where too many wait already
   */
  async print(document: PrintableDocument): Promise<Buffer> {
    if (this.#pending.size >= MAX_PENDING) problem('NO_CONNECTION_AVAILABLE', BUSY)
    this.#thread ??= this.#start()
    const number = ++this.#lastNumber
    const printed = Promise.withResolvers<Buffer>()
    this.#pending.set(number, printed)
    this.#thread.ref()
    this.#thread.postMessage({ number, document } satisfies PrintOrder)
    return printed.promise
  }

  #start(): Worker {
    // The thread is handed texts to draw, so it gets no settings, among which are secrets.
    const thread = new Worker(this.#script, { env: {}, execArgv: [] })
    let cause: unknown
    thread.on('message', (printed: Printed) => this.#settle(thread, printed))
    thread.on('error', (error) => {
      cause = error
    })
    thread.on('exit', () => this.#forget(thread, cause))
    return thread
  }

  #settle(thread: Worker, printed: Printed): void {
    const pending = this.#pending.get(printed.number)
    this.#pending.delete(printed.number)
    // Without work it does not keep a process from ending.
    if (this.#pending.size === 0) thread.unref()
    if ('bytes' in printed) pending?.resolve(Buffer.from(printed.bytes))
    else pending?.reject('undrawable' in printed ? undrawable(printed.undrawable) : printed.error)
  }

  /** The next document starts another thread. */
  #forget(thread: Worker, cause: unknown): void {
    if (this.#thread === thread) this.#thread = null
    const lost = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of lost) reject(new Error('the printing thread ended', { cause }))
  }
}

function undrawable(character: string): Error {
  return new PublicError('CONFLICT', {
    detail: `The document cannot be printed: there is no glyph for the character ${character}.`,
  })
}
