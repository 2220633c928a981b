import type pg from 'pg'
import { databaseError, type PhysicalIdentity } from './pg.ts'

/** The connection leads to another database than the one that was to be found there. */
export class IdentityMismatchError extends Error {
  override readonly name = 'IdentityMismatchError'
  readonly code = 'IDENTITY_MISMATCH'

  constructor() {
    super('the database is not the one that was validated')
  }
}

const OWN_OID =
  'SELECT d.oid::text AS oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()'
const OWN_OID_AND_CLUSTER = `SELECT d.oid::text AS oid, s.system_identifier::text AS cluster
  FROM pg_catalog.pg_database d CROSS JOIN pg_catalog.pg_control_system() s
 WHERE d.datname = pg_catalog.current_database()`

interface IdentityRow {
  readonly oid: string
  readonly cluster?: string
}

/**
 * The identity of the database at the other end. The cluster's identifier is null where the server does not tell it.
 * `timeoutMs` bounds each of its one or two statements; without it the connection's own limit does.
 * @throws what the connection throws
 */
export async function readIdentity(
  client: pg.ClientBase,
  options: { readonly timeoutMs?: number } = {},
): Promise<PhysicalIdentity> {
  const ask = async (text: string) => {
    // pg knows a limit for a single query; its typings do not.
    const limit = options.timeoutMs === undefined ? {} : { query_timeout: options.timeoutMs }
    return (await client.query<IdentityRow & pg.QueryResultRow>({ text, ...limit })).rows[0]
  }
  const row = await ask(OWN_OID_AND_CLUSTER).catch((error: unknown) => {
    // Some hosted services take the right to this function away; then the oid, and the stamp inside, must do.
    if (databaseError(error)?.code === '42501') return ask(OWN_OID)
    throw error
  })
  return { databaseOid: Number(row?.oid), systemIdentifier: row?.cluster ?? null }
}

/** True if `found` is the database that `expected` describes. Where a cluster is not known the oid decides. */
export function isExpected(found: PhysicalIdentity, expected: PhysicalIdentity): boolean {
  const isOtherCluster =
    found.systemIdentifier !== null &&
    expected.systemIdentifier !== null &&
    found.systemIdentifier !== expected.systemIdentifier
  return !isOtherCluster && found.databaseOid === expected.databaseOid
}

/**
 * Proves that a connection leads to the database that is expected; null, of which nothing is known, is no database.
 * @throws IdentityMismatchError, or what the connection throws
 */
export async function assertIdentity(
  client: pg.ClientBase,
  expected: PhysicalIdentity | null,
  options: { readonly timeoutMs?: number } = {},
): Promise<void> {
  const found = await readIdentity(client, options)
  if (expected === null || !isExpected(found, expected)) throw new IdentityMismatchError()
}
