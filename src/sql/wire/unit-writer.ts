import {
  encodeValue,
  statementName,
  TENANT_CHECK_STATEMENT,
  type TenantCheck,
} from '../../pools/wire/tenant-unit.ts'
import { bindHead, EXECUTE, int32, message, RESULTS_AS_TEXT, SYNC } from './frontend-messages.ts'
import type { WireStatement } from './wire-statement.ts'
import type { WireUnit } from './wire-unit.ts'

/** The tenant check of a unit on a lane. The server repeats the tenant and the number of the unit. */
export const LANE_CHECK = `${TENANT_CHECK_STATEMENT}, $5::pg_catalog.text`
/** The name under which each lane has prepared it. */
export const CHECK_NAME = statementName(LANE_CHECK)

/** The digits of a number, so that all numbers have the same length. */
const DIGITS = 8
const HIGHEST = 0xffff_ffff
/** From the end of the bytes of a check to its number. */
const NUMBER_AT = DIGITS + RESULTS_AS_TEXT.length + EXECUTE.length
/** The bytes of the checks, made once for each: they hold the seal, so they are kept nowhere else. */
const checks = new WeakMap<TenantCheck, Buffer>()

const INITIAL_BYTES = 16 * 1_024
const BIND = 0x42
/** Bytes in front of the parameters of Bind besides its head: type, length, number of parameters. */
const BIND_FIXED = 7
/** UTF-8 takes at most this many bytes for a unit of UTF-16. */
const WIDEST = 3
const MAX_PARAMETERS = 0xffff

/** The part of a unit that is written. */
type Written = Pick<WireUnit, 'tenantCheck' | 'values' | 'number'> & {
  readonly statement: Pick<WireStatement, 'prepareBytes' | 'bindBytes'>
}

/**
 * Writes units into one buffer, each as `[Close Parse Describe] Bind Execute (tenant check) Bind Execute (statement) Sync`. So the
 * tenant check and the statement are one transaction, and after an error the server skips to the Sync. Each unit gets the next
 * number of the connection.
 */
export class UnitWriter {
  #bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  #length = 0
  #number = 0

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** Adds a unit, or throws and adds nothing. */
  add(unit: Written, prepares: boolean): void {
    const { statement } = unit
    const begin = this.#length
    const next = numberAfter(this.#number)
    try {
      if (prepares) this.#copy(statement.prepareBytes)
      this.#copy(checkBytes(unit.tenantCheck))
      unit.number = next.toString(16).padStart(DIGITS, '0')
      this.#bytes.write(unit.number, this.#length - NUMBER_AT, 'latin1')
      this.#bind(statement.bindBytes, unit.values)
      this.#copy(EXECUTE)
      this.#copy(SYNC)
      this.#number = next
    } catch (error) {
      this.#length = begin
      throw error
    }
  }

  /** What was added since the last call. The next unit is written over it, unless `leave` is called first. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length)
    this.#length = 0
    return taken
  }

  /** The socket still holds what was taken. */
  leave(): void {
    this.#bytes = Buffer.allocUnsafeSlow(INITIAL_BYTES)
  }

  #bind(head: Buffer, values: readonly unknown[]): void {
    if (values.length > MAX_PARAMETERS) throw new RangeError('too many parameters')
    this.#reserve(BIND_FIXED + head.length)
    const begin = this.#length
    this.#bytes[begin] = BIND
    this.#length = begin + 5
    this.#copy(head)
    this.#length = this.#bytes.writeUInt16BE(values.length, this.#length)
    for (const value of values) this.#parameter(encodeValue(value))
    this.#copy(RESULTS_AS_TEXT)
    this.#bytes.writeInt32BE(this.#length - begin - 1, begin + 1)
  }

  #parameter(value: unknown): void {
    if (value === null) {
      this.#reserve(4)
      this.#length = this.#bytes.writeInt32BE(-1, this.#length)
    } else if (typeof value === 'string') {
      this.#reserve(4 + value.length * WIDEST)
      const size = this.#bytes.write(value, this.#length + 4)
      this.#length = this.#bytes.writeInt32BE(size, this.#length) + size
    } else {
      const bytes = value as Buffer
      this.#reserve(4)
      this.#length = this.#bytes.writeInt32BE(bytes.length, this.#length)
      this.#copy(bytes)
    }
  }

  #copy(bytes: Buffer): void {
    this.#reserve(bytes.length)
    this.#bytes.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#bytes.length) return
    const larger = Buffer.allocUnsafeSlow(Math.max(2 * this.#bytes.length, needed))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

export function numberAfter(number: number): number {
  return number === HIGHEST ? 0 : number + 1
}

/** Bind and Execute of the check, for a read, with a number that each unit writes over with its own. */
function checkBytes(tenantCheck: TenantCheck): Buffer {
  const known = checks.get(tenantCheck)
  if (known !== undefined) return known
  const values = [...tenantCheck.valuesFor(false), '0'.repeat(DIGITS)]
  const parameters = values.flatMap((value) => {
    const bytes = Buffer.from(String(value))
    return [int32(bytes.length), bytes]
  })
  const count = Buffer.from([0, values.length])
  const bind = message('B', bindHead(CHECK_NAME), count, ...parameters, RESULTS_AS_TEXT)
  const bytes = Buffer.concat([bind, EXECUTE])
  checks.set(tenantCheck, bytes)
  return bytes
}
