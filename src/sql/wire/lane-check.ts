import { ProtocolViolation } from '../../lib/wire/backend-bodies.ts'
import { statementName, TENANT_CHECK_STATEMENT, type TenantCheck } from '../../pools/wire/tenant-unit.ts'
import { bindHead, EXECUTE, int32, message, RESULTS_AS_TEXT } from './frontend-messages.ts'

/** The tenant check of a unit on a lane. The server repeats the tenant and the number of the unit. */
export const LANE_CHECK = `${TENANT_CHECK_STATEMENT}, $5::pg_catalog.text`
/** The name under which each lane has prepared it. */
export const CHECK_NAME = statementName(LANE_CHECK)
/** Columns of its answer: the tenant, the seal, nothing, the number. */
export const CHECK_COLUMNS = 4
const NUMBER_COLUMN = 3

/** The digits of a number, so that all numbers have the same length. */
const DIGITS = 8
const HIGHEST = 0xffff_ffff
const NO_NUMBER = '0'.repeat(DIGITS)
/** From the end of the bytes of a check to its number. */
const NUMBER_AT = DIGITS + RESULTS_AS_TEXT.length + EXECUTE.length

/** The bytes of the checks, made once for each: they hold the seal, so they are kept nowhere else. */
const checks = new WeakMap<TenantCheck, Buffer>()

/** The next number of a unit on a connection. */
export function numberAfter(number: number): number {
  return number === HIGHEST ? 0 : number + 1
}

/** Bind and Execute of the check, for a read, with a number that `writeNumber` writes over. */
export function checkBytes(tenantCheck: TenantCheck): Buffer {
  const known = checks.get(tenantCheck)
  if (known !== undefined) return known
  const values = [...tenantCheck.valuesFor(false), NO_NUMBER].map((value) => Buffer.from(String(value)))
  const parameters = values.flatMap((value) => [int32(value.length), value])
  const count = Buffer.from([0, values.length])
  const bind = message('B', bindHead(CHECK_NAME), count, ...parameters, RESULTS_AS_TEXT)
  const bytes = Buffer.concat([bind, EXECUTE])
  checks.set(tenantCheck, bytes)
  return bytes
}

/** Writes the number of the unit into the bytes of its check, which end at `end`. */
export function writeNumber(bytes: Buffer, end: number, number: number): void {
  bytes.write(textOf(number), end - NUMBER_AT, 'latin1')
}

/** The answer to the check of this unit. */
export interface CheckedUnit {
  readonly tenantId: string
  readonly number: number
}

/** Checks the row of a check, which was checked to have `CHECK_COLUMNS`. @throws ProtocolViolation */
export function assertAnswers(bytes: Buffer, start: number, { tenantId, number }: CheckedUnit): void {
  let at = start + 2
  if (!isText(bytes, at, tenantId)) throw new ProtocolViolation('a tenant check that names another tenant')
  for (let column = 0; column < NUMBER_COLUMN; column += 1) at += 4 + Math.max(0, bytes.readInt32BE(at))
  if (!isText(bytes, at, textOf(number))) throw new ProtocolViolation('an answer to another unit')
}

/** True if the value at `at` is this text, which is ASCII. */
function isText(bytes: Buffer, at: number, text: string): boolean {
  const size = bytes.readInt32BE(at)
  return size === text.length && bytes.toString('latin1', at + 4, at + 4 + size) === text
}

function textOf(number: number): string {
  return number.toString(16).padStart(DIGITS, '0')
}
