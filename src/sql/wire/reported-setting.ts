import { wantedSettings } from '../../lib/postgres/session-settings.ts'
import { ProtocolViolation } from '../../lib/wire/backend-messages.ts'

/** How values are written, and where names are looked up: a lane relies on these as its connection was opened with them. */
const PINNED = new Map(
  [
    ...wantedSettings({ statementTimeoutMs: 0, idleInTransactionMs: 0, plansOnce: false }),
    { name: 'standard_conforming_strings', value: 'on' },
    { name: 'integer_datetimes', value: 'on' },
  ].map(({ name, value }) => [name.toLowerCase(), value.replaceAll(' ', '')]),
)
/** Who the session is. No read changes that. */
const FIXED = new Set(['is_superuser', 'session_authorization', 'role'])

/**
 * Checks the body of a ParameterStatus, whose form was checked. The server reports a setting when it changes. A lane ends if it is
 * one that decides what rows look like or which rows are seen.
 * @throws ProtocolViolation
 */
export function checkReportedSetting(bytes: Buffer, start: number, end: number): void {
  const zero = bytes.indexOf(0, start)
  const name = bytes.toString('latin1', start, zero).toLowerCase()
  const pinned = PINNED.get(name)
  const isKept =
    pinned === undefined || bytes.toString('latin1', zero + 1, end - 1).replaceAll(' ', '') === pinned
  if (!isKept || FIXED.has(name)) throw new ProtocolViolation('a session whose settings have changed')
}
