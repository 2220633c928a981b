/** Why a pooler cannot be used, and the setting that helps. These are the only texts about it that leave the process. */
export const POOLER_FAULTS = {
  STARTUP:
    'The pooler refuses what a connection begins with: add ignore_startup_parameters = application_name to pgbouncer.ini',
  STATEMENT_MODE:
    'The pooler is in statement mode, which has no transactions: set pool_mode = transaction (or session) in pgbouncer.ini',
  POOL_TOO_SMALL:
    'The pooler lent one connection and not a second one: set default_pool_size = 2, or more, in pgbouncer.ini',
  ISOLATION:
    "The pooler drops default_transaction_isolation, and the user's own is another: ALTER ROLE … SET default_transaction_isolation = 'read committed'",
  SETTING: 'A setting that was made within a transaction is not there behind the pooler',
  NO_SESSION:
    'A pooler in transaction mode lends no sessions, and the catalog needs them (LISTEN, locks): set pool_mode = session for it in pgbouncer.ini, or lead past the pooler',
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
