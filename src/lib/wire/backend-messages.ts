/**
 * Cuts what a PostgreSQL server sends into messages, and checks each of them by itself before a parser reads it. pg's parser trusts
 * every length and searches for every terminator. If a length is wrong or a terminator is missing, it throws or loops forever.
 * https://www.postgresql.org/docs/current/protocol-message-formats.html
 */

/** The server broke PostgreSQL's protocol. The message is our own text and never holds what the server sent. */
export class ProtocolViolation extends Error {
  readonly code = 'PROTOCOL_VIOLATION'

  constructor(what: string, cause?: unknown) {
    super(what, cause === undefined ? undefined : { cause })
    this.name = 'ProtocolViolation'
  }
}

/** The server sent more than the limit before it is ready for the next statement. */
export class AnswerTooLarge extends Error {
  readonly code = 'ANSWER_TOO_LARGE'

  constructor() {
    super('the answer has no end')
  }
}

/** @throws ProtocolViolation if a message comes that cannot come now */
export function assertTurn(isDue: boolean): void {
  if (!isDue) throw new ProtocolViolation('a message that was not asked for, or before its turn')
}

/** Bytes of a message in front of its body: the type and the length. */
export const HEADER = 5

/** A body is `bytes` from `start` up to, but not including, `end`. */
type BodyCheck = (bytes: Buffer, start: number, end: number) => void

/** The kinds of message by their type byte. */
export const Kind = {
  authentication: 0x52,
  backendKeyData: 0x4b,
  bindComplete: 0x32,
  closeComplete: 0x33,
  commandComplete: 0x43,
  copyData: 0x64,
  copyDone: 0x63,
  copyIn: 0x47,
  copyOut: 0x48,
  dataRow: 0x44,
  emptyQuery: 0x49,
  error: 0x45,
  noData: 0x6e,
  notice: 0x4e,
  notification: 0x41,
  parameterDescription: 0x74,
  parameterStatus: 0x53,
  parseComplete: 0x31,
  readyForQuery: 0x5a,
  rowDescription: 0x54,
} as const

/** The least and greatest length of a message, counted as the protocol does: with the length field, without the type byte. */
interface Bounds {
  readonly least: number
  readonly most: number
}

const KIB = 1_024
const MIB = 1_024 * KIB
/** PostgreSQL's own limit for one message. */
const MOST_OF_A_ROW = 1_024 * MIB
/** An error holds the text of its statement, and a function may raise a long message. */
const MOST_OF_AN_ERROR = 16 * MIB
/** A row in PostgreSQL has at most 1,664 columns. */
const MOST_OF_A_DESCRIPTION = MIB
/** Messages are short until the login is complete. */
export const MOST_OF_A_START = 64 * KIB

const exactly = (length: number): Bounds => ({ least: length, most: length })
const EMPTY = exactly(4)

const BOUNDS: Readonly<Record<number, Bounds>> = {
  [Kind.authentication]: { least: 8, most: MOST_OF_A_START },
  // Keys have four bytes in the protocol version that pg requests, and up to 256 in a later version.
  [Kind.backendKeyData]: { least: 12, most: 264 },
  [Kind.bindComplete]: EMPTY,
  [Kind.closeComplete]: EMPTY,
  [Kind.commandComplete]: { least: 5, most: KIB },
  [Kind.copyData]: { least: 4, most: MOST_OF_A_ROW },
  [Kind.copyDone]: EMPTY,
  [Kind.copyIn]: { least: 7, most: 4 * KIB },
  [Kind.copyOut]: { least: 7, most: 4 * KIB },
  [Kind.dataRow]: { least: 6, most: MOST_OF_A_ROW },
  [Kind.emptyQuery]: EMPTY,
  [Kind.error]: { least: 5, most: MOST_OF_AN_ERROR },
  [Kind.noData]: EMPTY,
  [Kind.notice]: { least: 5, most: MOST_OF_AN_ERROR },
  [Kind.notification]: { least: 10, most: MOST_OF_A_START },
  [Kind.parameterDescription]: { least: 6, most: 4 * 65_535 + 6 },
  [Kind.parameterStatus]: { least: 6, most: MOST_OF_A_START },
  [Kind.parseComplete]: EMPTY,
  [Kind.readyForQuery]: exactly(5),
  [Kind.rowDescription]: { least: 6, most: MOST_OF_A_DESCRIPTION },
}
const BOUNDS_BY_TYPE = Array.from({ length: 256 }, (_, type) => BOUNDS[type])

/** @throws ProtocolViolation for a type that Freehold never asks for, and for a length that the type cannot have */
function checkHeader(type: number, length: number): void {
  const bounds = BOUNDS_BY_TYPE[type]
  if (bounds === undefined) throw new ProtocolViolation('a message of a kind that was not asked for')
  if (length < bounds.least || length > bounds.most)
    throw new ProtocolViolation('a message of a length that its kind cannot have')
}

const CHECKS: Readonly<Record<number, BodyCheck>> = {
  [Kind.commandComplete]: (bytes, start, end) => checkTexts(bytes, { start, end, count: 1 }),
  [Kind.copyIn]: checkCopyResponse,
  [Kind.copyOut]: checkCopyResponse,
  [Kind.error]: checkFields,
  [Kind.notice]: checkFields,
  [Kind.notification]: (bytes, start, end) => checkTexts(bytes, { start: start + 4, end, count: 2 }),
  [Kind.parameterDescription]: checkParameters,
  [Kind.parameterStatus]: (bytes, start, end) => checkTexts(bytes, { start, end, count: 2 }),
  [Kind.readyForQuery]: checkStatus,
  [Kind.rowDescription]: checkRowDescription,
}
/** By type byte. */
const BODY_CHECKS = Array.from({ length: 256 }, (_, type) => CHECKS[type])

/** Checks that the lengths of a row's values fill the row exactly. Returns the number of values. */
export function checkDataRow(bytes: Buffer, start: number, end: number): number {
  const count = bytes.readInt16BE(start)
  if (count < 0) throw new ProtocolViolation('a row with a negative number of columns')
  let at = start + 2
  for (let n = 0; n < count; n += 1) {
    if (at + 4 > end) throw new ProtocolViolation('a row that is shorter than its columns')
    const size = bytes.readInt32BE(at)
    if (size < -1) throw new ProtocolViolation('a value of negative length')
    at += size === -1 ? 4 : 4 + size
  }
  if (at !== end) throw new ProtocolViolation('a row that is not as long as its columns')
  return count
}

interface Span {
  readonly start: number
  readonly end: number
}

/** The index after the text that begins at `at`. Greater than `end` if the text has no terminator before `end`. */
export function afterText(bytes: Buffer, at: number, end: number): number {
  const zero = at < end ? bytes.indexOf(0, at) : -1
  return zero === -1 || zero >= end ? end + 1 : zero + 1
}

function checkTexts(bytes: Buffer, { start, end, count }: Span & { count: number }): void {
  let at = start
  for (let n = 0; n < count; n += 1) at = afterText(bytes, at, end)
  if (at !== end) throw new ProtocolViolation('a text that does not end with its message')
}

/** The fields of an error or a notice: each is a byte and a text. A zero byte ends the list. */
function checkFields(bytes: Buffer, start: number, end: number): void {
  let at = start
  while (at < end && bytes[at] !== 0) at = afterText(bytes, at + 1, end)
  if (at !== end - 1) throw new ProtocolViolation('an error or a notice without its end')
}

const FIELD_BYTES = 18

function checkRowDescription(bytes: Buffer, start: number, end: number): void {
  const count = bytes.readInt16BE(start)
  let at = start + 2
  for (let n = 0; n < count && at <= end; n += 1) at = afterText(bytes, at, end) + FIELD_BYTES
  if (count < 0 || at !== end) throw new ProtocolViolation('a description that is not as long as its columns')
}

function checkParameters(bytes: Buffer, start: number, end: number): void {
  if (bytes.readUInt16BE(start) * 4 !== end - start - 2)
    throw new ProtocolViolation('a list of parameters of another length than it declares')
}

function checkCopyResponse(bytes: Buffer, start: number, end: number): void {
  const count = bytes.readInt16BE(start + 1)
  if (count < 0 || count * 2 !== end - start - 3)
    throw new ProtocolViolation('a list of columns of another length than it declares')
}

/** The states in ReadyForQuery: idle, in a transaction, in a failed transaction. */
const STATUSES = new Set([...'ITE'].map((status) => status.charCodeAt(0)))

function checkStatus(bytes: Buffer, start: number): void {
  if (!STATUSES.has(bytes[start] ?? 0)) throw new ProtocolViolation('ready in a state that there is not')
}

export interface MessageReaderOptions {
  /**
   * Called for each message, in order, with its body: `bytes` from `start` up to, but not including, `end`. Its type is `HEADER` bytes
   * before. The caller checks the bodies of rows and of Authentication, because their checks have a result.
   */
  readonly take: (bytes: Buffer, start: number, end: number) => void
  /** The most that a server may send until it is ready for the next statement. */
  readonly maxAnswerBytes: number
}

/**
 * Cuts the bytes of a server into messages, wherever the network has cut them, and checks them. Only messages that arrive in
 * pieces are copied. After an error the caller must not call `accept` again.
 */
export class MessageReader {
  /** A message may not be longer than this. */
  longest = Number.POSITIVE_INFINITY
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

  /** Returns the whole messages that have arrived, or null if there is none yet. @throws ProtocolViolation, AnswerTooLarge, and what `take` throws */
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
      // Before the rest has arrived, because that may be long.
      checkHeader(type, length)
      if (length > this.longest) throw new ProtocolViolation('a message that is too long for the start')
      const end = at + 1 + length
      if (end > bytes.length) break
      BODY_CHECKS[type]?.(bytes, at + HEADER, end)
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
