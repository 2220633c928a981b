import { is, SQL } from 'drizzle-orm'
import { type ForeignKey, getTableConfig, type PgColumn, type PgTable } from 'drizzle-orm/pg-core'
import type { MigrationClient } from '../../migrations/transaction.ts'

type Config = ReturnType<typeof getTableConfig>

/** A column as declared and as in the database. Null: it is missing there. */
interface ColumnPair {
  readonly table: string
  readonly column: string
  readonly declared: string | null
  readonly actual: string | null
  readonly hasDefault: boolean
  readonly isGenerated: boolean
  readonly isIdentity: boolean
}

const GENERATE = 'Run: freehold schema generate --name NAME'

/**
 * Compares the declared tables with those of the database, in both directions: tables, columns with type and nullability, keys and
 * indexes by name, and the actions of foreign keys. Creates temporary tables and does not drop them.
 */
export async function faultsOfDeclared(
  client: MigrationClient,
  tables: readonly PgTable[],
): Promise<string[]> {
  const faults: string[] = []
  for (const table of tables) {
    const config = getTableConfig(table)
    faults.push(
      ...((await exists(client, config.name)) ? await faultsOfTable(client, config) : [missing(config.name)]),
    )
  }
  return faults
}

function missing(name: string): string {
  return `Table "${name}" is declared but no migration creates it. ${GENERATE}, or remove it from the application's tables.`
}

async function exists(client: MigrationClient, name: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `SELECT FROM pg_catalog.pg_class WHERE relnamespace = 'public'::pg_catalog.regnamespace
      AND relkind IN ('r', 'p') AND relname = $1`,
    [name],
  )
  return rowCount === 1
}

async function faultsOfTable(client: MigrationClient, config: Config): Promise<string[]> {
  const { name } = config
  // PostgreSQL itself gives the name of a declared type: serial is integer, varchar(3) is character varying(3).
  try {
    await client.query(
      `CREATE TEMP TABLE ${quoted(name)} (${config.columns.map((c) => definitionOf(c, config)).join(', ')})`,
    )
  } catch (error) {
    return [
      `Table "${name}" has a column of a type that does not exist (${(error as Error).message}). ${GENERATE}.`,
    ]
  }
  const pairs = await readColumns(client, name)
  return [...faultsOfColumns(pairs, config), ...(await faultsOfKeys(client, config))]
}

function definitionOf(column: PgColumn, { primaryKeys }: Config): string {
  const isKey = primaryKeys.some((key) => key.columns.some(({ name }) => name === column.name))
  return `${quoted(column.name)} ${column.getSQLType()}${column.notNull || column.primary || isKey ? ' NOT NULL' : ''}`
}

async function readColumns(client: MigrationClient, table: string): Promise<ColumnPair[]> {
  const columns = (schema: string) => `
    SELECT a.attname::text AS name, pg_catalog.format_type(a.atttypid, a.atttypmod)
        || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END AS type,
      a.atthasdef AS "hasDefault", a.attgenerated <> '' AS "isGenerated", a.attidentity <> '' AS "isIdentity"
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = ${schema} AND c.relname = $1 AND a.attnum > 0 AND NOT a.attisdropped`
  const { rows } = await client.query<ColumnPair>(
    `SELECT $1 AS table, coalesce(d.name, p.name) AS column, d.type AS declared, p.type AS actual,
        p."hasDefault" IS TRUE AS "hasDefault", p."isGenerated" IS TRUE AS "isGenerated", p."isIdentity" IS TRUE AS "isIdentity"
      FROM (${columns('pg_catalog.pg_my_temp_schema()')}) d
      FULL JOIN (${columns("'public'::pg_catalog.regnamespace")}) p ON p.name = d.name ORDER BY 2`,
    [table],
  )
  return rows
}

function faultsOfColumns(pairs: readonly ColumnPair[], { columns }: Config): string[] {
  return pairs.flatMap((pair) => {
    const { table, column, declared, actual } = pair
    const where = `Column "${column}" of table "${table}"`
    if (actual === null) return [`${where} is declared but no migration creates it. ${GENERATE}.`]
    if (declared === null)
      return [`${where} is created by a migration but not declared. Declare it, or drop it in a migration.`]
    if (actual !== declared) return [`${where} is ${actual} but declared as ${declared}. ${GENERATE}.`]
    const own = columns.find(({ name }) => name === column)
    return own === undefined
      ? []
      : faultsOfValues(pair, own).map((fault) => `${where} ${fault}. ${GENERATE}.`)
  })
}

/** Compares whether the server generates the values of a column with the declaration. */
function faultsOfValues({ hasDefault, isGenerated, isIdentity }: ColumnPair, column: PgColumn): string[] {
  const { generated, generatedIdentity } = column
  if ((generated !== undefined) !== isGenerated)
    return [
      isGenerated
        ? 'is a generated column but not declared as one'
        : 'is declared as a generated column but is not one',
    ]
  if ((generatedIdentity !== undefined) !== isIdentity)
    return [
      isIdentity
        ? 'is an identity column but not declared as one'
        : 'is declared as an identity column but is not one',
    ]
  return column.default !== undefined && !hasDefault ? ['is declared with a default but has none'] : []
}

async function faultsOfKeys(client: MigrationClient, config: Config): Promise<string[]> {
  const { rows } = await client.query<{ name: string; onDelete: string | null; onUpdate: string | null }>(
    `SELECT k.conname::text AS name, k.confdeltype::text AS "onDelete", k.confupdtype::text AS "onUpdate"
      FROM pg_catalog.pg_constraint k WHERE k.conrelid = $1::pg_catalog.regclass
      UNION ALL SELECT c.relname::text, NULL, NULL FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::pg_catalog.regclass AND i.indisvalid`,
    [`public.${quoted(config.name)}`],
  )
  const there = new Map(rows.map((row) => [row.name, row]))
  const absent = declaredKeys(config).filter(({ name }) => !there.has(name))
  const others = config.foreignKeys.filter((key) => {
    const actual = there.get(key.getName())
    return (
      actual !== undefined &&
      (actual.onDelete !== codeOf(key, 'onDelete') || actual.onUpdate !== codeOf(key, 'onUpdate'))
    )
  })
  return [
    ...absent.map(
      ({ kind, name }) =>
        `The ${kind} "${name}" of table "${config.name}" is declared but does not exist. ${GENERATE}.`,
    ),
    ...others.map(
      (key) =>
        `The foreign key "${key.getName()}" of table "${config.name}" has another action on delete or update than declared. ${GENERATE}.`,
    ),
  ]
}

function declaredKeys({ columns, primaryKeys, uniqueConstraints, indexes, foreignKeys, checks }: Config) {
  const named = (kind: string, names: readonly (string | undefined)[]) =>
    names.flatMap((name) => (name === undefined ? [] : [{ kind, name }]))
  return [
    ...named(
      'primary key',
      primaryKeys.map((key) => key.getName()),
    ),
    ...named(
      'unique key',
      uniqueConstraints.map((key) => key.getName()),
    ),
    ...named(
      'unique key',
      columns.filter(({ isUnique }) => isUnique).map(({ uniqueName }) => uniqueName),
    ),
    ...named(
      'index',
      indexes.map((index) => nameOfIndex(index)),
    ),
    ...named(
      'foreign key',
      foreignKeys.map((key) => key.getName()),
    ),
    ...named(
      'check',
      checks.map(({ name }) => name),
    ),
  ]
}

/** The declared name of an index, or the name that drizzle-kit makes. */
function nameOfIndex({ config }: Config['indexes'][number]): string | undefined {
  if (config.name !== undefined) return config.name
  const names = config.columns.map((column) => (is(column, SQL) ? null : (column as { name?: string }).name))
  return names.includes(undefined) || names.includes(null as never)
    ? undefined
    : `${getTableConfig(config.table).name}_${names.join('_')}_index`
}

/** The code of a foreign key's action in pg_constraint. */
function codeOf(key: ForeignKey, event: 'onDelete' | 'onUpdate'): string {
  const codes = { cascade: 'c', restrict: 'r', 'set null': 'n', 'set default': 'd', 'no action': 'a' }
  return codes[key[event] ?? 'no action']
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
