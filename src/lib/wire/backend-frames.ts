import {
  Authentication,
  authenticationCode,
  BODY_CHECKS,
  checkDataRow,
  checkHeader,
  Kind,
  MOST_OF_A_START,
  ProtocolViolation,
} from './backend-bodies.ts'

/** What the client has sent that the server has to answer, in this order. Simple queries and starts end with `ready`. */
export const Step = {
  parse: 1,
  bind: 2,
  describe: 3,
  parameters: 4,
  execute: 5,
  close: 6,
  query: 7,
  ready: 8,
} as const
export type Step = (typeof Step)[keyof typeof Step]

/** How far the client has been let in; each is reached from the one before it, or from `started` where that is said. */
const Entry = {
  started: 0,
  /** A password was asked for (from `started`). */
  asked: 1,
  /** SCRAM was offered (from `started`), begun by the client, challenged by the server, answered, and proven by both. */
  offered: 2,
  begun: 3,
  challenged: 4,
  answered: 5,
  proven: 6,
  /** From `started`, `asked` or `proven`. */
  letIn: 7,
  /** The first ReadyForQuery has come. */
  open: 8,
} as const
type Entry = (typeof Entry)[keyof typeof Entry]

const Copy = { none: 0, in: 1, out: 2, done: 3 } as const
type Copy = (typeof Copy)[keyof typeof Copy]

const HEADER = 5
/** The rows of a statement that nobody had described may have any number of columns. */
const UNDESCRIBED = -1
const NO_ROWS = -2

/** A server says more than the bound before it is ready for the next statement. */
export class AnswerTooLarge extends Error {
  readonly code = 'ANSWER_TOO_LARGE'

  constructor() {
    super('the answer has no end')
  }
}

/**
 * Stands between a server and pg's parser. Lets pass whole messages only, and only those that can be an answer to what
 * the client has sent: of a known kind, as long as they say, and in their turn. Nothing is copied but messages that
 * arrive in pieces. What has been accepted is the parser's; after the first error nothing may be accepted any more.
 */
export class BackendFrames {
  readonly #maxAnswerBytes: number
  /** The first pieces of a message, and how many bytes must be there before it is worth looking again. */
  #pieces: Buffer[] = []
  #piecesBytes = 0
  #neededBytes = HEADER
  /** Since the server was last ready as asked. */
  #answerBytes = 0
  #steps: Step[] = []
  #next = 0
  #entry: Entry = Entry.started
  #columns = UNDESCRIBED
  #copy: Copy = Copy.none
  /** The simple query under way has been answered in part, and no statement of it is half answered. */
  #isBetweenStatements = false

  constructor(maxAnswerBytes = Number.POSITIVE_INFINITY) {
    this.#maxAnswerBytes = maxAnswerBytes
  }

  /** The client has sent something that is to be answered. */
  expect(step: Step): void {
    this.#steps.push(step)
  }

  /** The client has said its part of SCRAM. */
  saidScram(): void {
    if (this.#entry === Entry.offered) this.#entry = Entry.begun
    else if (this.#entry === Entry.challenged) this.#entry = Entry.answered
  }

  /**
   * Takes what has arrived and gives the whole messages in it, or null while there is none.
   * @throws ProtocolViolation, AnswerTooLarge
   */
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
      this.#checkLength(type, length)
      const end = at + 1 + length
      if (end > bytes.length) break
      this.#check(type, bytes, at + HEADER, end)
      if (type === Kind.readyForQuery) this.#answerBytes = bytes.length - end
      at = end
    }
    this.#keep(bytes, at)
    return at === 0 ? null : at === bytes.length ? bytes : bytes.subarray(0, at)
  }

  /** What there is of the first message together with `chunk`; null where that is not enough yet. */
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
    if (rest > 0) {
      this.#neededBytes = rest < HEADER ? HEADER : bytes.readUInt32BE(at + 1) + 1
      this.#checkSize(this.#neededBytes - rest)
      this.#pieces.push(at === 0 ? bytes : bytes.subarray(at))
      this.#piecesBytes = rest
    } else {
      this.#checkSize(0)
    }
  }

  /** What has been announced counts before it is there. */
  #checkSize(announced: number): void {
    if (this.#answerBytes + announced > this.#maxAnswerBytes) throw new AnswerTooLarge()
  }

  #checkLength(type: number, length: number): void {
    checkHeader(type, length)
    if (this.#entry < Entry.open && length > MOST_OF_A_START)
      throw new ProtocolViolation('a message that is too long for the start')
  }

  #check(type: number, bytes: Buffer, start: number, end: number): void {
    if (type === Kind.dataRow) {
      this.#dataRow()
      checkDataRow(bytes, start, end, this.#columns)
      return
    }
    BODY_CHECKS[type]?.(bytes, start, end)
    this.#take(type, bytes, start, end)
  }

  #take(type: number, bytes: Buffer, start: number, end: number): void {
    switch (type) {
      case Kind.notice:
        return
      case Kind.error:
        this.#refused()
        break
      case Kind.authentication:
        this.#authentication(authenticationCode(bytes, start, end))
        break
      case Kind.backendKeyData:
        assertTurn(this.#entry === Entry.letIn)
        break
      case Kind.parameterStatus:
      case Kind.notification:
        assertTurn(this.#entry >= Entry.letIn)
        break
      case Kind.readyForQuery:
        this.#ready()
        break
      default:
        assertTurn(this.#entry === Entry.open)
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

  /** Rows of a simple query are always described; those of an executed statement only where that was asked for. */
  #dataRow(): void {
    assertTurn(this.#entry === Entry.open && this.#copy === Copy.none)
    const isDue = this.#step === Step.execute ? this.#columns !== NO_ROWS : this.#columns >= 0
    assertTurn(isDue && (this.#step === Step.execute || this.#step === Step.query))
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

  /** After an error the server leaves out all that was sent before the next Sync. May come at any time: it shuts down. */
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
    assertTurn(this.#entry >= Entry.letIn)
    this.#done(Step.ready)
    this.#entry = Entry.open
  }

  #authentication(code: number): void {
    const before = this.#entry
    const isFirst = before === Entry.started
    if (code === Authentication.sasl) this.#enter(isFirst, Entry.offered)
    else if (code === Authentication.saslContinue) this.#enter(before === Entry.begun, Entry.challenged)
    else if (code === Authentication.saslFinal) this.#enter(before === Entry.answered, Entry.proven)
    else if (code !== Authentication.ok) this.#enter(isFirst, Entry.asked)
    else this.#enter(isFirst || before === Entry.asked || before === Entry.proven, Entry.letIn)
  }

  #enter(isDue: boolean, entry: Entry): void {
    assertTurn(isDue && this.#step === Step.ready)
    this.#entry = entry
  }
}

function assertTurn(isDue: boolean): void {
  if (!isDue) throw new ProtocolViolation('a message that was not asked for, or before its turn')
}
