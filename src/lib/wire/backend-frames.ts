import {
  assertTurn,
  checkDataRow,
  HEADER,
  Kind,
  MessageReader,
  MOST_OF_A_START,
  ProtocolViolation,
} from './backend-messages.ts'
import { Copy, Login, Step } from './exchange-states.ts'
import { Authentication, authenticationCode } from './login-messages.ts'

/** A statement without Describe may return rows with any number of columns. */
const UNDESCRIBED = -1
const NO_ROWS = -2

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
      maxAnswerBytes,
    })
    this.#reader.longest = MOST_OF_A_START
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

  #check(bytes: Buffer, start: number, end: number): void {
    const type = bytes[start - HEADER] as number
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
    this.#reader.longest = Number.POSITIVE_INFINITY
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
