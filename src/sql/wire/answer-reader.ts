import { assertTurn, checkDataRow, HEADER, Kind, ProtocolViolation } from '../../lib/wire/backend-messages.ts'
import { areDeclaredParameters, rowReaderFor } from './described-columns.ts'
import { refusalIn } from './refusal.ts'
import { checkReportedSetting } from './reported-setting.ts'
import type { Preparation, WireUnit } from './wire-unit.ts'

/** The server has ended the connection, and perhaps said why. */
export class ConnectionEnded extends Error {
  readonly code = 'ECONNRESET'

  constructor() {
    super('the server ended the connection')
  }
}

/** The message that the answer to a unit needs next. An error may come instead of each; `ready` then follows it. */
const Due = {
  closeComplete: 0,
  parseComplete: 1,
  parameters: 2,
  columns: 3,
  checkBound: 4,
  checkRow: 5,
  checkCompleted: 6,
  bound: 7,
  rowOrCompleted: 8,
  ready: 9,
} as const
type Due = (typeof Due)[keyof typeof Due]

/** Columns of the answer to a tenant check: the tenant, the seal, nothing, the number. */
const CHECK_COLUMNS = 4
const NUMBER_COLUMN = 3
const IDLE = 0x49
const UNDESCRIBED = -1

export interface AnswerReaderOptions {
  /** The unit whose answer must come next. */
  readonly next: () => WireUnit | undefined
  /** Called for the unit that `next` names, when its answer is complete. */
  readonly onAnswered: (unit: WireUnit) => void
}

/**
 * Reads the answers of a server to the units of a lane. It believes a message only if its body is right, and if it is the next one
 * that the unit at hand can be answered with. Each answer begins with the row of the tenant check, which repeats the tenant and
 * the number of the unit. So no row is given to a unit before the server has named this very unit. After an error the caller
 * must not call `take` again.
 */
export class AnswerReader {
  readonly #options: AnswerReaderOptions
  /** Null between two answers. */
  #due: Due | null = null
  /** Rows of the statement in this answer. */
  #rows = 0

  constructor(options: AnswerReaderOptions) {
    this.#options = options
  }

  /** Takes a message that was checked by itself. @throws ProtocolViolation, ConnectionEnded */
  take(bytes: Buffer, start: number, end: number): void {
    const type = bytes[start - HEADER] as number
    if (type === Kind.dataRow) {
      this.#row(bytes, start, end)
      return
    }
    switch (type) {
      case Kind.bindComplete:
        this.#bound()
        break
      case Kind.commandComplete:
        this.#completed(bytes.toString('latin1', start, end - 1))
        break
      case Kind.readyForQuery:
        this.#ready(bytes[start])
        break
      case Kind.error:
        this.#refused(bytes, start)
        break
      case Kind.closeComplete:
        this.#advance(Due.closeComplete, Due.parseComplete)
        break
      case Kind.parseComplete:
        this.#advance(Due.parseComplete, Due.parameters)
        break
      case Kind.parameterDescription:
        this.#parametersDescribed(bytes, start)
        break
      case Kind.rowDescription:
        this.#columnsDescribed(bytes, start)
        break
      case Kind.parameterStatus:
        checkReportedSetting(bytes, start, end)
        break
      case Kind.notice:
      case Kind.notification:
        break
      default:
        assertTurn(false)
    }
  }

  /** The unit whose answer comes now. @throws ProtocolViolation if another message than `due` must come next */
  #unitAt(due: Due): WireUnit {
    const unit = this.#options.next()
    if (unit === undefined) throw new ProtocolViolation('an answer without a question')
    this.#due ??= firstOf(unit)
    assertTurn(this.#due === due)
    return unit
  }

  #advance(from: Due, to: Due): void {
    this.#unitAt(from)
    this.#due = to
  }

  #parametersDescribed(bytes: Buffer, start: number): void {
    const unit = this.#unitAt(Due.parameters)
    const isDeclared = areDeclaredParameters(bytes, start, unit.statement.declared.parameters)
    preparationOf(unit).isUnfit = !isDeclared
    this.#due = Due.columns
  }

  #columnsDescribed(bytes: Buffer, start: number): void {
    const unit = this.#unitAt(Due.columns)
    const preparation = preparationOf(unit)
    const reader = rowReaderFor(bytes, start, unit.statement.declared.columns)
    if (reader === null) preparation.isUnfit = true
    preparation.reader = preparation.isUnfit ? null : reader
    preparation.count = bytes.readInt16BE(start)
    this.#due = Due.checkBound
  }

  #bound(): void {
    if (this.#due !== Due.bound) {
      this.#advance(Due.checkBound, Due.checkRow)
      return
    }
    this.#advance(Due.bound, Due.rowOrCompleted)
    this.#rows = 0
  }

  #row(bytes: Buffer, start: number, end: number): void {
    if (this.#due === Due.rowOrCompleted) this.#statementRow(bytes, start, end)
    else this.#checkRow(bytes, start, end)
  }

  #checkRow(bytes: Buffer, start: number, end: number): void {
    const unit = this.#unitAt(Due.checkRow)
    assertColumns(checkDataRow(bytes, start, end), CHECK_COLUMNS)
    assertAnswers(bytes, start, unit)
    this.#due = Due.checkCompleted
  }

  #statementRow(bytes: Buffer, start: number, end: number): void {
    const unit = this.#unitAt(Due.rowOrCompleted)
    const { reader, count } = preparationOf(unit)
    assertColumns(checkDataRow(bytes, start, end), count)
    this.#rows += 1
    if (reader !== null) unit.rows.push(reader.read(bytes, start, end))
  }

  /** The server counts the rows that it has sent. */
  #completed(tag: string): void {
    const isOfCheck = this.#due === Due.checkCompleted
    if (isOfCheck) this.#advance(Due.checkCompleted, Due.bound)
    else this.#advance(Due.rowOrCompleted, Due.ready)
    if (tag !== `SELECT ${isOfCheck ? 1 : this.#rows}`)
      throw new ProtocolViolation('another number of rows than were sent')
  }

  /** After an error the server skips all messages up to the next Sync. */
  #refused(bytes: Buffer, start: number): void {
    const { sqlState, isFatal } = refusalIn(bytes, start)
    const unit = this.#options.next()
    if (unit === undefined || isFatal) throw new ConnectionEnded()
    assertTurn(unit.refusal === null)
    unit.refusal = sqlState
    if ((this.#due ?? firstOf(unit)) < Due.checkBound) preparationOf(unit).hasFailed = true
    this.#due = Due.ready
  }

  /** A lane has no transaction that outlasts a unit: the next tenant's unit would be a part of it. */
  #ready(status: number | undefined): void {
    const unit = this.#unitAt(Due.ready)
    if (status !== IDLE) throw new ProtocolViolation('a unit that has left a transaction open')
    this.#due = null
    this.#options.onAnswered(unit)
  }
}

function firstOf({ prepares }: WireUnit): Due {
  return prepares ? Due.closeComplete : Due.checkBound
}

/** What the connection knows of a statement that it has not described yet. */
export function newPreparation(): Preparation {
  return { reader: null, count: UNDESCRIBED, hasFailed: false, isUnfit: false }
}

function preparationOf({ preparation }: WireUnit): Preparation {
  if (preparation === null) throw new ProtocolViolation('an answer to a unit that was not written')
  return preparation
}

/** `described` is negative if the statement was not described. */
function assertColumns(found: number, described: number): void {
  if (described >= 0 && found !== described)
    throw new ProtocolViolation('a row of another number of columns than was described')
}

/** Checks the row of a tenant check, which was checked to have `CHECK_COLUMNS`. @throws ProtocolViolation */
function assertAnswers(bytes: Buffer, start: number, { tenantId, number }: WireUnit): void {
  let at = start + 2
  if (!isText(bytes, at, tenantId)) throw new ProtocolViolation('a tenant check that names another tenant')
  for (let column = 0; column < NUMBER_COLUMN; column += 1) at += 4 + Math.max(0, bytes.readInt32BE(at))
  if (!isText(bytes, at, number)) throw new ProtocolViolation('an answer to another unit')
}

/** True if the value at `at` is this text, which is ASCII. */
function isText(bytes: Buffer, at: number, text: string): boolean {
  const size = bytes.readInt32BE(at)
  return size === text.length && bytes.toString('latin1', at + 4, at + 4 + size) === text
}
