import net from 'node:net'
import { Duplex } from 'node:stream'
import { vi } from 'vitest'
import { int32, message, ready, refusal, row } from './backend-messages.ts'

/** How a server answers a new connection (`reject` has the SQLSTATE), or the question for its identity. */
export type Answer =
  | 'accept'
  /** In one packet with its last message. */
  | 'accept-and-shutdown'
  | 'hang-up'
  | 'reset'
  | 'another-database'
  | { readonly reject: string }

/** What a server was asked and has not answered yet. */
interface Question {
  readonly line: Line
  readonly kind: 'startup' | 'identity'
}

const OID = 5
const CLUSTER = '7'
/** The identity of every database here, except for the answer `another-database`. */
export const IDENTITY = { databaseOid: OID, systemIdentifier: CLUSTER }

/**
 * Fake servers: each of pg's sockets ends here, and the test decides what comes back, and when. Time passes only when the test
 * lets it pass, so the test controls every turn of the event loop.
 */
export class FakeNetwork {
  /** From connect() until they are closed. */
  readonly lines = new Set<Line>()
  readonly questions: Question[] = []
  /** True: every question is answered at once with `accept`. */
  isPrompt = false
  /** False: connections are refused. */
  isUp = true
  /** True: a client that ends its connection gets no answer. */
  isDeaf = false

  /** From now on, each new `net.Socket` ends here. Undone by `vi.restoreAllMocks`. */
  install(): void {
    const network = this
    vi.spyOn(net, 'Socket').mockImplementation(function open() {
      return new Line(network) as never
    } as never)
  }

  dial(line: Line): void {
    this.lines.add(line)
    line.once('close', () => this.lines.delete(line))
    process.nextTick(() => {
      if (line.destroyed) return
      if (this.isUp) line.emit('connect')
      else line.destroy(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    })
  }

  ask(question: Question): void {
    this.questions.push(question)
    if (this.isPrompt) this.answer(question, 'accept')
  }

  answer(question: Question | undefined, answer: Answer): void {
    if (question === undefined) return
    this.questions.splice(this.questions.indexOf(question), 1)
    if (!question.line.destroyed) question.line.say(question.kind, answer)
  }

  answerAll(): void {
    for (const question of [...this.questions]) this.answer(question, 'accept')
  }
}

/** A socket whose other end is the test. */
export class Line extends Duplex {
  readonly #network: FakeNetwork
  #unread = Buffer.alloc(0)
  #hasBegun = false
  bytesRead = 0
  port = 0

  constructor(network: FakeNetwork) {
    super({ allowHalfOpen: false })
    this.#network = network
  }

  connect(port: number): this {
    this.port = port
    this.#network.dial(this)
    return this
  }

  setNoDelay(): this {
    return this
  }

  setKeepAlive(): this {
    return this
  }

  ref(): this {
    return this
  }

  unref(): this {
    return this
  }

  /** The server goes: in order, with a last message, or by a reset. */
  die(how: 'end' | 'shutdown' | 'reset'): void {
    if (this.destroyed) return
    if (how === 'reset') {
      this.destroy(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
      return
    }
    if (how === 'shutdown') this.#send(refusal(['SFATAL', 'VFATAL', `C${'57P01'}`, 'Mno']))
    if (!this.readableEnded) this.push(null)
  }

  say(kind: Question['kind'], answer: Answer): void {
    if (answer === 'hang-up') this.die('end')
    else if (answer === 'reset') this.die('reset')
    else if (typeof answer === 'object') {
      this.#send(refusal(['SFATAL', 'VFATAL', `C${answer.reject}`, 'Mno']))
      if (kind === 'startup') this.push(null)
      else this.#send(ready())
    } else {
      const isOver = answer === 'accept-and-shutdown'
      const told = kind === 'startup' ? WELCOME : identity(answer === 'another-database' ? OID + 1 : OID)
      this.#send(isOver ? Buffer.concat([told, refusal(['SFATAL', 'VFATAL', `C${'57P01'}`, 'Mno'])]) : told)
      if (isOver) this.push(null)
    }
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#unread = Buffer.concat([this.#unread, chunk])
    this.#hear()
    done()
  }

  override _final(done: () => void): void {
    done()
    if (!this.#network.isDeaf && !this.readableEnded) this.push(null)
  }

  #send(bytes: Buffer): void {
    this.bytesRead += bytes.length
    this.push(bytes)
  }

  #hear(): void {
    for (;;) {
      const from = this.#hasBegun ? 1 : 0
      if (this.#unread.length < from + 4) return
      const size = from + this.#unread.readInt32BE(from)
      if (this.#unread.length < size) return
      const type = this.#hasBegun ? String.fromCharCode(this.#unread[0] ?? 0) : 'startup'
      this.#unread = this.#unread.subarray(size)
      this.#hasBegun = true
      const kind = type === 'startup' ? 'startup' : type === 'Q' ? 'identity' : null
      // After the write has returned: no real server answers sooner.
      if (kind !== null) process.nextTick(() => this.#network.ask({ line: this, kind }))
    }
  }
}

function identity(oid: number): Buffer {
  const columns = [
    { name: 'files', value: `base/${oid}/1259` },
    { name: 'cluster', value: CLUSTER },
  ]
  return Buffer.concat([...row(columns), ready()])
}

const WELCOME = Buffer.concat([message('R', int32(0)), ready()])
