import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { sessionSetups } from '../wire/session-setup.ts'
import { GuardedClient } from './guarded-client.ts'
import { databaseError, type PhysicalIdentity } from './pg.ts'
import {
  columnsOf,
  deviation,
  provenColumns,
  type SessionSetting,
  settingColumns,
} from './session-settings.ts'

/** The connection leads to another database than the expected one. */
export class IdentityMismatchError extends Error {
  override readonly name = 'IdentityMismatchError'
  readonly code = 'IDENTITY_MISMATCH'

  constructor() {
    super('the database is not the one that was validated')
  }
}

/** Facts that we read once from a new connection: its database, and whether it is a session of our own with our settings. */
export interface ConnectionFacts {
  readonly identity: PhysicalIdentity
  /** True behind a pooler: the process that serves us is not the process that was announced at login. */
  readonly isPooled: boolean
  /** True if the session has the settings that we asked for. */
  readonly hasOurSettings: boolean
}

const CLUSTER = {
  column: ', s.system_identifier::text AS cluster',
  from: ' CROSS JOIN pg_catalog.pg_control_system() s',
}
const NO_CLUSTER = { column: '', from: '' }
/** Where PostgreSQL keeps `pg_class`, which each database has: `base/16384/1259`, or the same below a tablespace. */
const OWN_FILES = 'pg_catalog.pg_relation_filepath(1259) AS files'
const DATABASE_IN_FILES = /(?:^base|\/PG_[^/]+)\/([1-9][0-9]*)\/[0-9]+$/

/**
 * The first look into `pg_database` takes a new backend 0.6 ms, a tenth of what a new connection costs the server. The path of
 * a file names the database as well, and is at hand.
 */
function quickQuestion(settings: readonly SessionSetting[]): string {
  return `SELECT ${OWN_FILES}, s.system_identifier::text AS cluster${sessionColumns(settings)}
  FROM pg_catalog.pg_control_system() s`
}

function question(settings: readonly SessionSetting[], cluster: typeof CLUSTER): string {
  return `SELECT d.oid::text AS oid${cluster.column}${sessionColumns(settings)}
  FROM pg_catalog.pg_database d${cluster.from} WHERE d.datname = pg_catalog.current_database()`
}

function sessionColumns(settings: readonly SessionSetting[]): string {
  return settings.length === 0 ? '' : `, pg_catalog.pg_backend_pid()::text AS pid, ${columnsOf(settings)}`
}

const knownFacts = new WeakMap<object, ConnectionFacts>()

/**
 * Reads the facts of a connection once and keeps them. Behind a pooler each transaction then sets up its session.
 * @throws the connection's errors
 */
export async function greet(client: pg.ClientBase): Promise<ConnectionFacts> {
  const known = knownFacts.get(client)
  if (known !== undefined) return known
  const wanted = client instanceof GuardedClient ? client.wanted : []
  const facts = factsIn(client, await readRow(client, wanted))
  knownFacts.set(client, facts)
  const isOurs = facts.hasOurSettings && !facts.isPooled
  if (client instanceof GuardedClient && !isOurs && !client.needsSession) {
    const settings = provenColumns(wanted, facts.identity.databaseOid)
    sessionSetups.set(client, { settings, names: client.traits })
  }
  return facts
}

type Row = Readonly<Record<string, unknown>>

/** Why a server may not answer the quick question: no right, no such function, not supported. */
const NOT_TOLD = new Set(['42501', '42883', '0A000'])

async function readRow(client: pg.ClientBase, wanted: readonly SessionSetting[]): Promise<Row> {
  return (await readQuickly(client, wanted)) ?? (await readByName(client, wanted))
}

/** Null from a server that does not tell where its files are. The next connection to it does not ask this way. */
async function readQuickly(client: pg.ClientBase, wanted: readonly SessionSetting[]): Promise<Row | null> {
  const traits = client instanceof GuardedClient ? client.traits : null
  if (traits?.tellsFiles === false) return null
  const row = await ask(client, quickQuestion(wanted)).catch((error: unknown): Row => {
    if (NOT_TOLD.has(databaseError(error)?.code ?? '')) return {}
    throw error
  })
  const [, oid] = DATABASE_IN_FILES.exec(String(row.files)) ?? []
  if (oid !== undefined) return { ...row, oid }
  if (traits !== null) traits.tellsFiles = false
  return null
}

async function readByName(client: pg.ClientBase, wanted: readonly SessionSetting[]): Promise<Row> {
  return ask(client, question(wanted, CLUSTER)).catch((error: unknown) => {
    // Some hosted services revoke the right to pg_control_system. Then we compare only the oid and the stamp.
    if (databaseError(error)?.code === '42501') return ask(client, question(wanted, NO_CLUSTER))
    throw error
  })
}

async function ask(client: pg.ClientBase, text: string): Promise<Row> {
  return (await client.query(text)).rows[0] ?? {}
}

function factsIn(client: pg.ClientBase, row: Readonly<Record<string, unknown>>): ConnectionFacts {
  const { oid, cluster } = row as { oid?: string; cluster?: string }
  const identity = { databaseOid: Number(oid), systemIdentifier: cluster ?? null }
  if (!(client instanceof GuardedClient)) return { identity, isPooled: false, hasOurSettings: true }
  const hasOurSettings = deviation(client.wanted, row) === null
  return { identity, isPooled: row.pid !== String(client.backendPid), hasOurSettings }
}

/** True if `greet` found a pooler between us and the server. */
export function isPooled(client: object): boolean {
  return knownFacts.get(client)?.isPooled === true
}

/** The identity of the database at the other end. The cluster's identifier is null if the server does not show it. */
export async function readIdentity(client: pg.ClientBase): Promise<PhysicalIdentity> {
  return (await greet(client)).identity
}

/** Applies our settings to a session that was opened without them, for example by a pooler in session mode. */
export async function applySettings(client: pg.ClientBase): Promise<void> {
  const { hasOurSettings } = await greet(client)
  if (hasOurSettings || !(client instanceof GuardedClient)) return
  await client.query(`SELECT ${settingColumns(client.wanted, 'session')}`)
}

/** True if `found` is the database that `expected` describes. If a cluster is not known, the oid decides. */
export function isExpected(found: PhysicalIdentity, expected: PhysicalIdentity): boolean {
  const isOtherCluster =
    found.systemIdentifier !== null &&
    expected.systemIdentifier !== null &&
    found.systemIdentifier !== expected.systemIdentifier
  return !isOtherCluster && found.databaseOid === expected.databaseOid
}

/**
 * Proves that a connection leads to the expected database. Null means that it is not known, so no database is accepted.
 * @throws IdentityMismatchError, or the connection's errors
 */
export async function assertIdentity(
  client: pg.ClientBase,
  expected: PhysicalIdentity | null,
): Promise<void> {
  const found = await readIdentity(client)
  if (expected === null || !isExpected(found, expected)) throw new IdentityMismatchError()
}

/** A database of the gateway itself. It cannot be a tenant's. */
export interface OwnDatabase extends PhysicalIdentity {
  /** Lends a connection to it. Absent if none is available: then the identity alone decides. */
  readonly lend?: <T>(fn: (client: pg.ClientBase) => Promise<T>) => Promise<T>
}

/** True if both describe one database, or a database and its clone: a copied machine has the same cluster identifier. */
export function isAlike(one: PhysicalIdentity, other: PhysicalIdentity): boolean {
  return (
    one.systemIdentifier !== null &&
    one.systemIdentifier === other.systemIdentifier &&
    one.databaseOid === other.databaseOid
  )
}

/**
 * True unless it is proven that two connections lead to different databases. It does not rely on what the databases report: a
 * lock with a random name is taken on one connection, and is visible on the other if the database is the same.
 */
export async function isSameDatabase(
  client: pg.ClientBase,
  lend: NonNullable<OwnDatabase['lend']>,
): Promise<boolean> {
  const key = randomBytes(8).readBigInt64BE().toString()
  try {
    return await lend((other) => whileLocked(other, key, () => seesLock(client, key)))
  } catch {
    return true
  }
}

/** In a transaction, so that it also works behind a pooler in transaction mode. */
async function whileLocked<T>(client: pg.ClientBase, key: string, fn: () => Promise<T>): Promise<T> {
  await client.query('BEGIN')
  try {
    await client.query('SELECT pg_catalog.pg_advisory_xact_lock_shared($1::bigint)', [key])
    return await fn()
  } finally {
    await client.query('ROLLBACK')
  }
}

async function seesLock(client: pg.ClientBase, key: string): Promise<boolean> {
  const { rows } = await client.query<{ seen: boolean }>(
    `SELECT EXISTS (
       SELECT FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_database d ON d.oid = l.database
        WHERE d.datname = pg_catalog.current_database() AND l.locktype = 'advisory' AND l.objsubid = 1
          AND l.classid = (($1::bigint >> 32) & 4294967295)::pg_catalog.oid
          AND l.objid = ($1::bigint & 4294967295)::pg_catalog.oid) AS seen`,
    [key],
  )
  return rows[0]?.seen !== false
}
