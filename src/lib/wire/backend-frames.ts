import {
  AnswerTooLarge,
  Authentication,
  assertTurn,
  authenticationCode,
  BODY_CHECKS,
  checkDataRow,
  checkHeader,
  Kind,
  MOST_OF_A_START,
  ProtocolViolation,
} from './backend-bodies.ts'
import { Copy, Login, Step } from './exchange-states.ts'

/** Bytes of a message in front of its body: the type and the length. */
export const HEADER = 5
/** A statement without Describe may return rows with any number of columns. */
const UNDESCRIBED = -1
const NO_ROWS = -2

export interface MessageReaderOptions {
  /** Called for each message, in order, with its body: `bytes` from `start` up to, but not including, `end`. Its type is `HEADER` bytes before. */
  readonly take: (bytes: Buffer, start: number, end: number) => void
  /** Called with the header of each message, perhaps several times, before the rest of it has arrived. */
  readonly checkLength: (type: number, length: number) => void
  /** The most that a server may send until it is ready for the next statement. */
  readonly maxAnswerBytes: number
}

/**
 * Cuts the bytes of a server into messages, wherever the network has cut them. Only messages that arrive in pieces are copied.
 * After an error the caller must not call `accept` again.
 */
export class MessageReader {
  readonly #options: MessageReaderOptions
  /** The first pieces of a message, and how many bytes must have arrived before it is read again. */
  #pieces: Buffer[] = []
  #piecesBytes = 0
  #neededBytes = HEADER
  /** Bytes received since the last ReadyForQuery. */
  #answerBytes = 0

  constructor(options: MessageReaderOptions) {
    this.#options = options
  }

  /** True if no part of a message is kept here. */
  get isBetweenMessages(): boolean {
    return this.#piecesBytes === 0
  }

  /** Returns the whole messages that have arrived, or null if there is none yet. @throws AnswerTooLarge, and what the options throw */
  accept(chunk: Buffer): Buffer | null {
    this.#answerBytes += chunk.length
    const bytes = this.#join(chunk)
    if (bytes === null) {
      this.#checkSize(0)
      return null
    }
    let at = 0
    while (bytes.length - at >= HEADER) {
      const type = bytes[at] as number
      const length = bytes.readUInt32BE(at + 1)
      this.#options.checkLength(type, length)
      const end = at + 1 + length
      if (end > bytes.length) break
      this.#options.take(bytes, at + HEADER, end)
      if (type === Kind.readyForQuery) this.#answerBytes = bytes.length - end
      at = end
    }
    this.#keep(bytes, at)
    return at === 0 ? null : at === bytes.length ? bytes : bytes.subarray(0, at)
  }

  /** The kept pieces of the first message, followed by `chunk`. Null if more bytes are needed. */
  #join(chunk: Buffer): Buffer | null {
    if (this.#piecesBytes === 0) return chunk
    this.#pieces.push(chunk)
    this.#piecesBytes += chunk.length
    if (this.#piecesBytes < this.#neededBytes) return null
    const joined = Buffer.concat(this.#pieces, this.#piecesBytes)
    this.#pieces = []
    this.#piecesBytes = 0
    return joined
  }

  #keep(bytes: Buffer, at: number): void {
    const rest = bytes.length - at
    if (rest > 0) this.#neededBytes = rest < HEADER ? HEADER : bytes.readUInt32BE(at + 1) + 1
    this.#checkSize(rest > 0 ? this.#neededBytes - rest : 0)
    if (rest > 0) this.#pieces.push(at === 0 ? bytes : bytes.subarray(at))
    this.#piecesBytes = rest
  }

  /** A message counts with its declared length, even before it has arrived. */
  #checkSize(announced: number): void {
    if (this.#answerBytes + announced > this.#options.maxAnswerBytes) throw new AnswerTooLarge()
  }
}

/**
 * Checks what a server sends before pg's parser reads it. Passes on whole messages only, and only those that can answer
 * what the client has sent: of a known kind, of the declared length, and in their turn. After the first error the caller must not
 * call `accept` again.
 */
export class BackendFrames {
  readonly #reader: MessageReader
  #steps: Step[] = []
  #next = 0
  #login: Login = Login.started
  #columns = UNDESCRIBED
  #copy: Copy = Copy.none
  /** True if a simple query is running, at least one of its statements is answered, and none is half answered. */
  #isBetweenStatements = false

  constructor(maxAnswerBytes = Number.POSITIVE_INFINITY) {
    this.#reader = new MessageReader({
      take: (bytes, start, end) => this.#check(bytes, start, end),
      checkLength: (type, length) => this.#checkLength(type, length),
      maxAnswerBytes,
    })
  }

  /** The client has sent a message that the server must answer. */
  expect(step: Step): void {
    this.#steps.push(step)
  }

  /** The client has sent its next message of SCRAM. */
  saidScram(): void {
    if (this.#login === Login.offered) this.#login = Login.begun
    else if (this.#login === Login.challenged) this.#login = Login.answered
  }

  /** Returns the whole messages that have arrived, or null if there is none yet. @throws ProtocolViolation, AnswerTooLarge */
  accept(chunk: Buffer): Buffer | null {
    return this.#reader.accept(chunk)
  }

  #checkLength(type: number, length: number): void {
    checkHeader(type, length)
    if (this.#login < Login.open && length > MOST_OF_A_START)
      throw new ProtocolViolation('a message that is too long for the start')
  }

  #check(bytes: Buffer, start: number, end: number): void {
    const type = bytes[start - HEADER] as number
    BODY_CHECKS[type]?.(bytes, start, end)
    switch (type) {
      case Kind.dataRow:
        this.#dataRow(checkDataRow(bytes, start, end))
        break
      case Kind.notice:
        return
      case Kind.error:
        this.#refused()
        break
      case Kind.authentication:
        this.#authentication(authenticationCode(bytes, start, end))
        break
      case Kind.backendKeyData:
        assertTurn(this.#login === Login.letIn)
        break
      case Kind.parameterStatus:
      case Kind.notification:
        assertTurn(this.#login >= Login.letIn)
        break
      case Kind.readyForQuery:
        this.#ready()
        break
      default:
        assertTurn(this.#login === Login.open)
        this.#answer(type, bytes, start)
    }
  }

  #answer(type: number, bytes: Buffer, start: number): void {
    switch (type) {
      case Kind.parseComplete:
        this.#done(Step.parse)
        break
      case Kind.bindComplete:
        this.#columns = UNDESCRIBED
        this.#done(Step.bind)
        break
      case Kind.closeComplete:
        this.#done(Step.close)
        break
      case Kind.parameterDescription:
        this.#done(Step.parameters)
        break
      case Kind.noData:
        this.#columns = NO_ROWS
        this.#done(Step.describe)
        break
      case Kind.rowDescription:
        this.#described(bytes.readInt16BE(start))
        break
      case Kind.commandComplete:
      case Kind.emptyQuery:
        this.#completed()
        break
      default:
        this.#copied(type)
    }
  }

  get #step(): Step | undefined {
    return this.#steps[this.#next]
  }

  #done(step: Step): void {
    assertTurn(this.#step === step)
    this.#advance()
  }

  #advance(): void {
    this.#next += 1
    if (this.#next === this.#steps.length) {
      this.#steps.length = 0
      this.#next = 0
    }
  }

  #described(columns: number): void {
    if (this.#step === Step.query) {
      assertTurn(this.#copy === Copy.none && this.#columns === UNDESCRIBED)
      this.#isBetweenStatements = false
    } else {
      this.#done(Step.describe)
    }
    this.#columns = columns
  }

  /** A simple query always describes its rows. An executed statement does so only if the client sent Describe. */
  #dataRow(columns: number): void {
    assertTurn(this.#login === Login.open && this.#copy === Copy.none)
    const isDue = this.#step === Step.execute ? this.#columns !== NO_ROWS : this.#columns >= 0
    assertTurn(isDue && (this.#step === Step.execute || this.#step === Step.query))
    if (this.#columns >= 0 && columns !== this.#columns)
      throw new ProtocolViolation('a row of another number of columns than was described')
  }

  #completed(): void {
    assertTurn(this.#copy === Copy.none || this.#copy === Copy.done)
    if (this.#step === Step.query) this.#isBetweenStatements = true
    else this.#done(Step.execute)
    this.#endStatement()
  }

  #endStatement(): void {
    this.#columns = UNDESCRIBED
    this.#copy = Copy.none
  }

  #copied(type: number): void {
    if (type === Kind.copyIn || type === Kind.copyOut) {
      assertTurn(this.#copy === Copy.none && (this.#step === Step.execute || this.#step === Step.query))
      this.#isBetweenStatements = false
      this.#copy = type === Kind.copyIn ? Copy.in : Copy.out
    } else {
      assertTurn(this.#copy === Copy.out)
      if (type === Kind.copyDone) this.#copy = Copy.done
    }
  }

  /** After an error the server skips all messages up to the next Sync. An error may come at any time: at a shutdown, too. */
  #refused(): void {
    while (this.#step !== undefined && this.#step !== Step.ready) this.#advance()
    this.#isBetweenStatements = false
    this.#endStatement()
  }

  #ready(): void {
    if (this.#step === Step.query) {
      assertTurn(this.#isBetweenStatements)
      this.#isBetweenStatements = false
      this.#advance()
    }
    assertTurn(this.#login >= Login.letIn)
    this.#done(Step.ready)
    this.#login = Login.open
  }

  #authentication(code: number): void {
    const before = this.#login
    const isFirst = before === Login.started
    if (code === Authentication.sasl) this.#advanceLogin(isFirst, Login.offered)
    else if (code === Authentication.saslContinue)
      this.#advanceLogin(before === Login.begun, Login.challenged)
    else if (code === Authentication.saslFinal) this.#advanceLogin(before === Login.answered, Login.proven)
    else if (code !== Authentication.ok) this.#advanceLogin(isFirst, Login.asked)
    else this.#advanceLogin(isFirst || before === Login.asked || before === Login.proven, Login.letIn)
  }

  #advanceLogin(isDue: boolean, login: Login): void {
    assertTurn(isDue && this.#step === Step.ready)
    this.#login = login
  }
}
