import { ENDING_SEVERITIES, endsConnection } from '../../lib/postgres/outcome.ts'
import { ProtocolViolation } from '../../lib/wire/backend-messages.ts'

/** What an ErrorResponse says, as far as decisions need it. */
export interface Refusal {
  readonly sqlState: string
  /** True if the server ends the connection with it. */
  readonly isFatal: boolean
}

const SQLSTATE = 0x43
const SEVERITY = 0x53
/** The severity as no server translates it. */
const PLAIN_SEVERITY = 0x56
const SQLSTATE_FORM = /^[0-9A-Z]{5}$/

/** Reads the body of an ErrorResponse, whose form was checked. @throws ProtocolViolation */
export function refusalIn(bytes: Buffer, start: number): Refusal {
  let sqlState = ''
  let severity = ''
  let plain: string | null = null
  for (let at = start; bytes[at] !== 0; ) {
    const zero = bytes.indexOf(0, at + 1)
    const field = bytes[at]
    if (field === SQLSTATE) sqlState = bytes.toString('latin1', at + 1, zero)
    else if (field === SEVERITY) severity = bytes.toString('latin1', at + 1, zero)
    else if (field === PLAIN_SEVERITY) plain = bytes.toString('latin1', at + 1, zero)
    at = zero + 1
  }
  if (!SQLSTATE_FORM.test(sqlState) || (plain !== null && plain !== 'ERROR' && !ENDING_SEVERITIES.has(plain)))
    throw new ProtocolViolation('an error without a SQLSTATE or a severity')
  return { sqlState, isFatal: endsConnection(sqlState, plain ?? severity) }
}
