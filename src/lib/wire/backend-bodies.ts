/**
 * Checks the bodies of the messages that a PostgreSQL server sends, before pg's parser reads them. The parser trusts every
 * length and searches for every terminator. If a length is wrong or a terminator is missing, it throws or loops forever.
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
export function checkHeader(type: number, length: number): void {
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
/** The checks of bodies by type byte, except those of `checkDataRow` and `authenticationCode`. */
export const BODY_CHECKS = Array.from({ length: 256 }, (_, type) => CHECKS[type])

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

/** The kinds of Authentication that pg can answer. */
export const Authentication = {
  ok: 0,
  clearText: 3,
  md5: 5,
  sasl: 10,
  saslContinue: 11,
  saslFinal: 12,
} as const

/** The code of an Authentication message, once its body was checked for that code. */
export function authenticationCode(bytes: Buffer, start: number, end: number): number {
  const code = bytes.readInt32BE(start)
  if (!isAuthentication(code, bytes, { start: start + 4, end }))
    throw new ProtocolViolation('an authentication that the client does not know')
  return code
}

const SCRAM_CHALLENGE = /^r=[\x21-\x2b\x2d-\x7e]+,s=[A-Za-z0-9+/]+=*,i=[1-9]\d{0,9}(?:,|$)/
const SCRAM_OUTCOME = /^[ev]=[\x20-\x7e]+$/

function isAuthentication(code: number, bytes: Buffer, { start, end }: Span): boolean {
  const text = () => bytes.toString('latin1', start, end)
  switch (code) {
    case Authentication.ok:
    case Authentication.clearText:
      return end === start
    case Authentication.md5:
      return end === start + 4
    case Authentication.sasl:
      return isListOfTexts(bytes, start, end)
    case Authentication.saslContinue:
      return SCRAM_CHALLENGE.test(text())
    case Authentication.saslFinal:
      return SCRAM_OUTCOME.test(text())
    default:
      return false
  }
}

interface Span {
  readonly start: number
  readonly end: number
}

/** The index after the text that begins at `at`. Greater than `end` if the text has no terminator before `end`. */
function afterText(bytes: Buffer, at: number, end: number): number {
  const zero = at < end ? bytes.indexOf(0, at) : -1
  return zero === -1 || zero >= end ? end + 1 : zero + 1
}

function checkTexts(bytes: Buffer, { start, end, count }: Span & { count: number }): void {
  let at = start
  for (let n = 0; n < count; n += 1) at = afterText(bytes, at, end)
  if (at !== end) throw new ProtocolViolation('a text that does not end with its message')
}

/** A list of texts that are not empty, ended by an empty one. */
function isListOfTexts(bytes: Buffer, start: number, end: number): boolean {
  let at = start
  while (at < end && bytes[at] !== 0) at = afterText(bytes, at, end)
  return at === end - 1
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
