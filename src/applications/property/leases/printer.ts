import { Worker } from 'node:worker_threads'
import { PublicError, problem } from '../../../index.ts'
import type { PrintableDocument } from './lease-pdf.ts'
import type { Printed, PrintOrder } from './printing-thread.ts'

/** About ten seconds of work. */
const MAX_PENDING = 200
const BUSY = 'Too many documents are being printed.'

/**
 * Prints documents in a separate thread, which starts with the first document. Loading the library and the fonts takes most of a
 * second, and drawing a document up to a tenth of a second. On the main thread the requests of all tenants would wait for that.
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
   * @throws PublicError CONFLICT for a character that the fonts do not have; NO_CONNECTION_AVAILABLE if too many documents wait
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
    // The thread draws texts that it must not trust, so it gets no environment variables: those hold secrets.
    const thread = new Worker(this.#script, { env: {}, execArgv: [] })
    let cause: unknown
    thread.on('message', (printed: Printed) => this.#finish(thread, printed))
    thread.on('error', (error) => {
      cause = error
    })
    thread.on('exit', () => this.#failPending(thread, cause))
    return thread
  }

  #finish(thread: Worker, printed: Printed): void {
    const pending = this.#pending.get(printed.number)
    this.#pending.delete(printed.number)
    // An idle thread must not keep the process alive.
    if (this.#pending.size === 0) thread.unref()
    if ('bytes' in printed) pending?.resolve(Buffer.from(printed.bytes))
    else pending?.reject('undrawable' in printed ? undrawable(printed.undrawable) : printed.error)
  }

  /** The next document starts another thread. */
  #failPending(thread: Worker, cause: unknown): void {
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
