/** Why a pooler cannot be used, and the setting to change. No other text about a pooler leaves the process. */
export const POOLER_FAULTS = {
  STARTUP:
    'The pooler refuses a parameter of the startup message: add ignore_startup_parameters = application_name to pgbouncer.ini',
  STATEMENT_MODE:
    'The pooler is in statement mode, which has no transactions: set pool_mode = transaction (or session) in pgbouncer.ini',
  POOL_TOO_SMALL:
    'The pooler lends one connection but not a second one: set default_pool_size = 2 or more in pgbouncer.ini',
  ISOLATION:
    "The pooler drops default_transaction_isolation, and the user has another default: ALTER ROLE … SET default_transaction_isolation = 'read committed'",
  SETTING: 'The pooler loses a setting that was made in the same transaction',
  NO_SESSION:
    'The catalog needs sessions (LISTEN, locks), and a pooler in transaction mode has none: set pool_mode = session for the catalog in pgbouncer.ini, or connect to the catalog without the pooler',
} as const

export type PoolerFault = keyof typeof POOLER_FAULTS

/** There is a pooler between us and the database, and we cannot work through it. The message is public. */
export class PoolerUnsupportedError extends Error {
  override readonly name = 'PoolerUnsupportedError'
  readonly code = 'POOLER_UNSUPPORTED'
  readonly fault: PoolerFault

  constructor(fault: PoolerFault, cause?: unknown) {
    super(POOLER_FAULTS[fault], cause === undefined ? undefined : { cause })
    this.fault = fault
  }
}
