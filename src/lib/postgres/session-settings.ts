/** A setting that each of our sessions must have, in PostgreSQL's own spelling. */
export interface SessionSetting {
  readonly name: string
  readonly value: string
}

export interface SessionLimits {
  /** 0 means none. */
  readonly statementTimeoutMs: number
  readonly idleInTransactionMs: number
  /** See `ConnectionLimits.plansOnce`. */
  readonly plansOnce: boolean
}

export const ISOLATION = 'default_transaction_isolation'

/**
 * Startup options override ALTER DATABASE … SET and ALTER ROLE … SET. With these an owner could shadow pg_catalog (pg_temp is
 * last for the same reason), make writers miss a fence (another isolation level), or change how values are written and how
 * policies and identifiers are read.
 */
const PINNED: readonly SessionSetting[] = [
  { name: 'search_path', value: 'pg_catalog,public,pg_temp' },
  { name: ISOLATION, value: 'read committed' },
  { name: 'TimeZone', value: 'UTC' },
  { name: 'DateStyle', value: 'ISO, MDY' },
  { name: 'bytea_output', value: 'hex' },
  { name: 'extra_float_digits', value: '1' },
  { name: 'row_security', value: 'on' },
  { name: 'quote_all_identifiers', value: 'off' },
]
/** The driver sends this one itself. */
const ENCODING: SessionSetting = { name: 'client_encoding', value: 'UTF8' }
const PLAN_ONCE: SessionSetting = { name: 'plan_cache_mode', value: 'force_generic_plan' }
const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
  [1, 'ms'],
] as const

/** The startup message's `options`. The timeouts are separate parameters of that message. */
export function startupOptions({ plansOnce }: Pick<SessionLimits, 'plansOnce'>): string {
  return [...PINNED, ...(plansOnce ? [PLAN_ONCE] : [])]
    .map(({ name, value }) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
    .join(' ')
}

/** The settings that a session must have once it is open. Without a statement limit, no limit is set. */
export function wantedSettings(limits: SessionLimits): readonly SessionSetting[] {
  const { statementTimeoutMs, idleInTransactionMs, plansOnce } = limits
  return [
    ...PINNED,
    ENCODING,
    ...(plansOnce ? [PLAN_ONCE] : []),
    ...(statementTimeoutMs === 0 ? [] : [{ name: 'statement_timeout', value: printed(statementTimeoutMs) }]),
    { name: 'idle_in_transaction_session_timeout', value: printed(idleInTransactionMs) },
  ]
}

/** SQL columns that read the settings. Each has the name of its setting in lower case. */
export function columnsOf(settings: readonly SessionSetting[]): string {
  return settings
    .map(({ name }) => `pg_catalog.current_setting('${name}') AS ${name.toLowerCase()}`)
    .join(', ')
}

/** The name of the first setting that differs in a row of `columnsOf`. Null if all are as they should be. */
export function deviation(
  settings: readonly SessionSetting[],
  row: Readonly<Record<string, unknown>>,
): string | null {
  return settings.find(({ name, value }) => row[name.toLowerCase()] !== value)?.name ?? null
}

/** SQL columns that apply the settings, for the session or until the transaction ends. */
export function settingColumns(
  settings: readonly SessionSetting[],
  scope: 'session' | 'transaction',
): string {
  return settings
    .map(({ name, value }) => `pg_catalog.set_config('${name}', '${value}', ${scope === 'transaction'})`)
    .join(', ')
}

/**
 * As `settingColumns` until the transaction ends, and also proves two things that cannot be set. The isolation level was
 * decided when the transaction began, perhaps by the owner's default. And the pooler may have lent a session in another
 * database. Setting the isolation to its present level changes nothing. Setting another level is an error (25001), and then
 * nothing after it runs.
 */
export function provenColumns(settings: readonly SessionSetting[], databaseOid: number): string {
  const own =
    'SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()'
  const isOurs = `(${own}) OPERATOR(pg_catalog.=) ${databaseOid}::pg_catalog.oid`
  const level = `CASE WHEN ${isOurs} THEN 'read committed' ELSE 'repeatable read' END`
  const proof = `pg_catalog.set_config('transaction_isolation', ${level}, true)`
  const settable = settings.filter(({ name }) => name !== ISOLATION)
  return `${settingColumns(settable, 'transaction')}, ${proof}`
}

/** Milliseconds as PostgreSQL prints them: in the largest unit that holds them exactly. */
function printed(ms: number): string {
  if (ms === 0) return '0'
  const [size, unit] = UNITS.find(([each]) => ms % each === 0) ?? UNITS[4]
  return `${ms / size}${unit}`
}
