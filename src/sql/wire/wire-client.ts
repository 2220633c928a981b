import type { Socket } from 'node:net'
import { AnswerTooLarge, MessageReader, ProtocolViolation } from '../../lib/wire/backend-messages.ts'
import { HandlerFault } from '../../lib/wire/handler-fault.ts'
import { AnswerReader, ConnectionEnded, newPreparation } from './answer-reader.ts'
import { UnitWriter } from './unit-writer.ts'
import type { WireStatement } from './wire-statement.ts'
import type { Preparation, Unanswered, WireUnit } from './wire-unit.ts'

export interface WireClientOptions {
  readonly maxAnswerBytes: number
  /** Called when the connection has ended, after all its units were told. */
  readonly onEnd: () => void
}

/** The time limit of the lane has ended the statement, or its wait for a lock. */
const LIMITS = new Set(['57014', '55P03'])
/** The server holds other statements than we believe, or a table was changed. */
const OUTDATED = new Set(['26000', '0A000'])
/** The name is taken, although it was closed just before: the session is not ours alone. */
const NAME_TAKEN = '42P05'
/** So many answered units are dropped from the list together. */
const MOST_ANSWERED = 64

/**
 * Speaks PostgreSQL's protocol on the socket of a connection that pg has opened: only units of reads, many at once. What is
 * sent in one turn of the event loop leaves as one write. The first message that is wrong ends the connection, and every unit
 * that was written is told that its answer is lost.
 */
export class WireClient {
  readonly #socket: Socket
  readonly #options: WireClientOptions
  readonly #reader: MessageReader
  readonly #writer = new UnitWriter()
  readonly #prepared = new Map<WireStatement, Preparation>()
  /** Units of this turn. */
  #gathered: WireUnit[] = []
  /** Units that were written. Those before `#head` are answered. */
  readonly #written: WireUnit[] = []
  #head = 0
  #isOver = false
  /** The server holds other statements than we believe: no unit should be sent any more. */
  isOutdated = false
  /** True if the connection has ended because the server broke the protocol. */
  brokeProtocol = false
  /** True if bytes have come since it was last set to false. */
  wasHeard = false
  readonly #onData = (chunk: Buffer) => this.#receive(chunk)
  readonly #onEnd = () => this.destroy()
  readonly #onClose = () => this.#end('lost')

  constructor(socket: Socket, options: WireClientOptions) {
    this.#socket = socket
    this.#options = options
    const answers = new AnswerReader({
      next: () => this.#written[this.#head],
      onAnswered: (unit) => this.#answered(unit),
    })
    this.#reader = new MessageReader({
      take: (bytes, start, end) => answers.take(bytes, start, end),
      maxAnswerBytes: options.maxAnswerBytes,
    })
    socket.on('data', this.#onData)
    socket.on('end', this.#onEnd)
    socket.on('close', this.#onClose)
  }

  /** True once the connection has ended or was left to another reader. */
  get isOver(): boolean {
    return this.#isOver
  }

  /**
   * Leaves the socket to another reader. False, and nothing is changed, if the connection has ended, or if the other reader would
   * find a part of an answer.
   */
  release(): boolean {
    const isBusy = this.#written.length > this.#head || this.#gathered.length > 0
    if (this.#isOver || isBusy || !this.#reader.isBetweenMessages) return false
    this.#isOver = true
    this.#socket.off('data', this.#onData)
    this.#socket.off('end', this.#onEnd)
    this.#socket.off('close', this.#onClose)
    return true
  }

  /** Sends the unit at the end of this turn. */
  send(unit: WireUnit): void {
    if (this.#gathered.push(unit) === 1) setImmediate(() => this.#flush())
  }

  /** Ends the connection at once. */
  destroy(error?: Error): void {
    this.#socket.destroy(error)
    this.#end('lost')
  }

  #flush(): void {
    const gathered = this.#gathered
    this.#gathered = []
    for (const unit of gathered) this.#write(unit)
    if (this.#writer.isEmpty) return
    this.#socket.write(this.#writer.take())
    if (this.#socket.writableLength > 0) this.#writer.leave()
  }

  #write(unit: WireUnit): void {
    try {
      unit.assertCurrent()
    } catch (error) {
      this.#told(() => unit.failed(error))
      return
    }
    if (!this.#add(unit)) this.#told(() => unit.ended('unsent'))
  }

  /** False if it cannot be written: then nothing is. */
  #add(unit: WireUnit): boolean {
    if (this.#isOver || this.isOutdated) return false
    const known = this.#prepared.get(unit.statement)
    const isKnown = known !== undefined && !known.hasFailed
    try {
      this.#writer.add(unit, !isKnown)
    } catch {
      return false
    }
    unit.prepares = !isKnown
    unit.preparation = isKnown ? known : this.#prepare(unit.statement)
    this.#written.push(unit)
    return true
  }

  #prepare(statement: WireStatement): Preparation {
    const preparation = newPreparation()
    this.#prepared.set(statement, preparation)
    return preparation
  }

  #receive(chunk: Buffer): void {
    if (this.#isOver) return
    this.wasHeard = true
    try {
      this.#reader.accept(chunk)
    } catch (error) {
      this.#refuse(error)
    }
  }

  /** Ends the connection, because what has come cannot be read. */
  #refuse(error: unknown): void {
    if (this.#isOver) return
    this.brokeProtocol = error instanceof ProtocolViolation
    const isTooLarge = error instanceof AnswerTooLarge
    const isOfServer = this.brokeProtocol || isTooLarge || error instanceof ConnectionEnded
    this.#socket.destroy(isOfServer ? (error as Error) : new HandlerFault(error))
    this.#end(isTooLarge ? 'large' : 'lost')
  }

  /** Tells a unit how it has ended. What its owner throws must not keep other units from being told. */
  #told(tell: () => void): void {
    try {
      tell()
    } catch (error) {
      // A socket that was destroyed reports nothing by itself.
      if (this.#socket.destroyed) this.#socket.emit('error', new HandlerFault(error))
      else this.destroy(new HandlerFault(error))
    }
  }

  #answered(unit: WireUnit): void {
    this.#head += 1
    if (this.#head >= MOST_ANSWERED) {
      this.#written.splice(0, this.#head)
      this.#head = 0
    }
    const verdict = this.#verdictOn(unit)
    this.#told(() => unit.ended(verdict))
  }

  /** Null for an answer that can be believed: the server has described the declared columns, and has refused nothing. */
  #verdictOn({ refusal, preparation }: WireUnit): Unanswered | null {
    const isUnfit = preparation?.isUnfit === true
    if (refusal === null && !isUnfit && preparation?.reader != null) return null
    if (refusal !== null && LIMITS.has(refusal)) return 'limit'
    if (isOutdated(refusal, preparation)) {
      this.isOutdated = true
      return 'outdated'
    }
    return isUnfit ? 'unfit' : 'refused'
  }

  /** Tells each unit that has no answer. `oldest` is the reason for the unit whose answer was being read. */
  #end(oldest: Unanswered): void {
    if (this.#isOver) return
    this.#isOver = true
    const unanswered = this.#written.splice(0).slice(this.#head)
    const unsent = this.#gathered
    this.#gathered = []
    this.#head = 0
    for (const [index, unit] of unanswered.entries())
      this.#told(() => unit.ended(index === 0 ? oldest : 'lost'))
    for (const unit of unsent) this.#told(() => unit.ended('unsent'))
    this.#options.onEnd()
  }
}

/** True if the connection should get no more units. */
function isOutdated(refusal: string | null, preparation: Preparation | null): boolean {
  if (refusal === NAME_TAKEN) return true
  // A unit behind one whose Parse was refused: the statement is not there, as is known.
  return refusal !== null && OUTDATED.has(refusal) && preparation?.hasFailed !== true
}
