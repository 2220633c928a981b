import type pg from 'pg'
import type { SchemaVersion } from '../catalog/schema.ts'
import { isAlike, isSameDatabase, type OwnDatabase, readIdentity } from '../lib/postgres/database-identity.ts'
import { databaseError, type PhysicalIdentity, READS_ONLY } from '../lib/postgres/pg.ts'
import { type ApplyOptions, applyMigrations } from '../migrations/apply.ts'
import { firstDrift, schemaState, type Versions } from '../migrations/drift.ts'
import type { Lineage, Migration } from '../migrations/files.ts'
import { parseEpoch } from '../residence/epochs.ts'
import {
  CORE_TABLES,
  type DeclaredTables,
  findIsolationViolations,
  findRoleViolations,
  type Violation,
} from '../residence/isolation.ts'
import { CheckFailure } from './failures.ts'

export interface CheckOptions {
  readonly tenantId: string
  readonly migrations: readonly Migration[]
  readonly tables: DeclaredTables
  /** If set, missing migrations are applied. Otherwise the schema is only compared, and may be behind. */
  readonly apply?: Pick<ApplyOptions, 'lockTimeoutMs' | 'log' | 'onProgress'>
  /** True for a database that was valid before: it may be read-only for now, and its encoding is not checked. */
  readonly wasValid?: boolean
  /** The catalog and the shared database, which cannot be registered. */
  readonly forbidden: readonly OwnDatabase[]
}

/** The tenant's row in `residence`. The database is or was its tenant database. */
export interface Stamp {
  readonly epoch: number
  readonly state: 'open' | 'fenced'
}

/** The facts about a database that passed the checks. */
export interface CheckedDatabase {
  readonly identity: PhysicalIdentity
  readonly serverVersion: string
  readonly schemaVersion: SchemaVersion
  /** The schema lacks migrations of this release. */
  readonly isBehind: boolean
  /** The schema lacks migrations of the core, so the core's tables are older than this release expects. */
  readonly lacksCore: boolean
  readonly stamp: Stamp | null
}

/** SQLSTATEs of a table with other columns, or columns of other types. */
const NOT_OURS = new Set(['42703', '42883', '42804', '22P02'])
const IS_OUR_OWN =
  "This is Freehold's catalog or shared database under another name; register another database for the tenant"
const PLAIN_NAME = /^[\w.]{1,127}$/
const OLDEST_VERSION_NUM = 140_000
/** The longest answer that a check accepts; see `ConnectionLimits`. */
export const CHECK_ANSWER_BYTES = 1024 * 1024

/**
 * Checks a database for a tenant, in this order: version, role, owner, schema (with `apply`, missing migrations are applied),
 * rules of isolation, privileges. Writes nothing before it is certain that the database belongs to no other tenant.
 * @throws CheckFailure; errors of the connection (see `classify`)
 */
export async function checkDatabase(client: pg.ClientBase, options: CheckOptions): Promise<CheckedDatabase> {
  const facts = await readFacts(client)
  const serverVersion = versionIn(facts)
  if (options.wasValid !== true && facts.encoding !== 'UTF8') throw new CheckFailure('ENCODING_UNSUPPORTED')
  if ((await findRoleViolations(client)).length > 0) throw new CheckFailure('ROLE_BYPASSES_RLS')
  const identity = await readIdentity(client)
  await checkNotOurs(client, identity, options.forbidden)
  if (facts.hasResidence) await readSoleStamp(client, options.tenantId)
  if (options.wasValid !== true && facts.isReadOnly) throw new CheckFailure('READ_ONLY')
  const { schemaVersion, behind, isProven } = await checkSchema(client, options)
  const isBehind = behind.length > 0
  // A database without its first migrations cannot pass these checks. They run again when the migrations have been applied.
  if (!isProven && (!isBehind || options.wasValid === true)) {
    await checkIsolation(client, options.tables, isBehind)
    await checkPrivileges(client, options.tables, isBehind)
  }
  const stamp = await findSoleStamp(client, options.tenantId)
  const lacksCore = behind.includes('core')
  return { identity, serverVersion, schemaVersion, isBehind, lacksCore, stamp }
}

/** Facts that one query reads from any version of PostgreSQL. */
export interface Facts {
  readonly num: string
  readonly version: string
  /** Only UTF8 is accepted: other encodings lack characters that a caller may send, and SQL_ASCII does not check them. */
  readonly encoding: string
  /** The server refuses writes now. */
  readonly isReadOnly: boolean
  readonly hasResidence: boolean
}

/** One round trip. @throws CheckFailure UNKNOWN if the answer has no row */
export async function readFacts(client: pg.ClientBase): Promise<Facts> {
  const { rows } = await client.query<Facts & pg.QueryResultRow>(
    `SELECT pg_catalog.current_setting('server_version_num') AS num,
            pg_catalog.current_setting('server_version') AS version,
            pg_catalog.current_setting('server_encoding') AS encoding,
            ${READS_ONLY} AS "isReadOnly",
            pg_catalog.to_regclass('public.residence') IS NOT NULL AS "hasResidence"`,
  )
  if (rows[0] === undefined) throw new CheckFailure('UNKNOWN')
  return rows[0]
}

/** The version of a server that is new enough. @throws CheckFailure SERVER_VERSION_UNSUPPORTED, UNKNOWN */
export function versionIn({ num: versionNum, version }: Pick<Facts, 'num' | 'version'>): string {
  const num = Number(versionNum)
  if (!Number.isSafeInteger(num)) throw new CheckFailure('UNKNOWN')
  if (num < OLDEST_VERSION_NUM) throw new CheckFailure('SERVER_VERSION_UNSUPPORTED')
  return String(version)
    .replace(/[^0-9A-Za-z.() +~-]/g, '')
    .slice(0, 60)
}

/** A cloned server has the identity of its original. So if the identity equals that of our own database, a lock decides. */
async function checkNotOurs(
  client: pg.ClientBase,
  identity: PhysicalIdentity,
  forbidden: readonly OwnDatabase[],
): Promise<void> {
  for (const { lend } of forbidden.filter((own) => isAlike(identity, own))) {
    if (lend === undefined || (await isSameDatabase(client, lend)))
      throw new CheckFailure('HOST_NOT_ALLOWED', undefined, IS_OUR_OWN)
  }
}

/**
 * Reads a row of `residence`. The owner of the database may have written it.
 * @throws CheckFailure IDENTITY_AMBIGUOUS if the epoch is out of range
 */
export function stampOf({ epoch: text, state }: { epoch: string; state: string }): Stamp {
  const epoch = parseEpoch(text)
  if (epoch === null)
    throw new CheckFailure('IDENTITY_AMBIGUOUS', new Error('the epoch of the stamp is out of range'))
  return { epoch, state: state === 'open' ? 'open' : 'fenced' }
}

/**
 * The tenant's stamp, or null.
 * @throws CheckFailure BELONGS_TO_ANOTHER_TENANT if another tenant has a stamp here
 */
export async function findSoleStamp(client: pg.ClientBase, tenantId: string): Promise<Stamp | null> {
  const { rows: present } = await client.query<{ present: boolean }>(
    "SELECT pg_catalog.to_regclass('public.residence') IS NOT NULL AS present",
  )
  return present[0]?.present === true ? readSoleStamp(client, tenantId) : null
}

/** As `findSoleStamp`, in a database that has the table. */
export async function readSoleStamp(client: pg.ClientBase, tenantId: string): Promise<Stamp | null> {
  const { rows } = await client
    .query<{ tenant_id: string; epoch: string; state: string }>(
      `SELECT tenant_id::text, epoch::text, state FROM public.residence ORDER BY tenant_id <> $1 LIMIT 2`,
      [tenantId],
    )
    .catch((error: unknown) => {
      if (!NOT_OURS.has(databaseError(error)?.code ?? '')) throw error
      const words = 'The database has a table "public.residence" that the migrations did not create'
      throw new CheckFailure('SCHEMA_DRIFTED', error, words)
    })
  if (rows.some((row) => row.tenant_id !== tenantId)) throw new CheckFailure('BELONGS_TO_ANOTHER_TENANT')
  const own = rows[0]
  return own === undefined ? null : stampOf(own)
}

async function checkSchema(
  client: pg.ClientBase,
  options: CheckOptions,
): Promise<{ schemaVersion: SchemaVersion; behind: readonly Lineage[]; isProven: boolean }> {
  if (options.apply !== undefined) {
    let isProven = false
    const { versions } = await applyMigrations(client, options.migrations, {
      ...options.apply,
      // The checks run before the migrations commit, so a refused database stays unchanged.
      prove: async () => {
        await checkIsolation(client, options.tables)
        await checkPrivileges(client, options.tables, false)
        isProven = true
      },
    })
    return { schemaVersion: versionOf(versions), behind: [], isProven }
  }
  const state = await schemaState(client, options.migrations)
  if (firstDrift(state) !== null) throw new CheckFailure('SCHEMA_DRIFTED')
  const behind = state.isFormer ? (['core'] as const) : state.pending.map(({ lineage }) => lineage)
  return { schemaVersion: versionOf(state.versions), behind, isProven: false }
}

/** Reads the schema version from the journal. A newer release may have applied migrations that this one does not know. */
export async function readSchemaVersion(
  client: pg.ClientBase,
  migrations: readonly Migration[],
): Promise<SchemaVersion> {
  return versionOf((await schemaState(client, migrations)).versions)
}

function versionOf({ core = null, application = null }: Versions): SchemaVersion {
  return { core, application }
}

async function checkIsolation(client: pg.ClientBase, tables: DeclaredTables, isOlder = false): Promise<void> {
  const violations = await findIsolationViolations(client, { tables, isOlder })
  const [first] = violations
  if (first === undefined) return
  const cause = new Error(JSON.stringify(violations.slice(0, 5)))
  throw new CheckFailure('SCHEMA_DRIFTED', cause, violationWords(first))
}

/** Names the object only if its name is plain: the owner of the database has chosen it. */
function violationWords({ object, rule }: Violation): string | null {
  return PLAIN_NAME.test(object) ? `A rule of isolation is broken for "${object}" (${rule})` : null
}

/** An older schema lacks some of the tables. `residence` is in the list because only the owner of the tables may use it. */
async function checkPrivileges(
  client: pg.ClientBase,
  { tenantTables }: DeclaredTables,
  isOlder: boolean,
): Promise<void> {
  const tables = [...CORE_TABLES, ...tenantTables, 'residence'].map((name) => `public.${name}`)
  const { rows } = await client.query<{ missing: boolean }>(
    `SELECT coalesce(pg_catalog.bool_or(NOT pg_catalog.has_table_privilege(t, r)), false) AS missing
       FROM pg_catalog.unnest($1::text[]) AS t, pg_catalog.unnest('{SELECT,INSERT,UPDATE,DELETE}'::text[]) AS r
      WHERE NOT $2 OR pg_catalog.to_regclass(t) IS NOT NULL`,
    [tables, isOlder],
  )
  if (rows[0]?.missing !== false) throw new CheckFailure('PERMISSION_MISSING')
}
