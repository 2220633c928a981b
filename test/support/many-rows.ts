import { getTableColumns } from 'drizzle-orm'
import { getTableConfig, type PgColumn } from 'drizzle-orm/pg-core'
import type { Resource } from '../../src/collections/define-resource.ts'

/** Rows with the same reference, which a filter by it finds. */
const ROWS_PER_REFERENCE = 20

interface Shape {
  readonly enum?: readonly unknown[]
  readonly pattern?: string
}

/**
 * The statement that gives each tenant of `$1` the rows 1 to `$2` of a collection. All have one form, no two names, dates or
 * unique values of a tenant are equal, and references point to no row. So it needs a superuser's session with
 * `session_replication_role = replica`, without triggers and foreign keys.
 */
export function manyRows({ table, schemas }: Resource): string {
  const { name, indexes } = getTableConfig(table)
  const unique = new Set(
    indexes.flatMap(({ config }) =>
      config.unique ? config.columns.map((column) => (column as PgColumn).name) : [],
    ),
  )
  const shapes = schemas.row.properties as Record<string, Shape>
  const columns = Object.entries(getTableColumns(table)).filter(([, column]) => !column.generated)
  const values = columns.map(([field, column]) => sqlOf(column, shapes[field] ?? {}, unique.has(column.name)))
  return `INSERT INTO ${name} (${columns.map(([, column]) => column.name).join()})
    SELECT ${values.join()} FROM unnest($1::uuid[]) AS tenant, generate_series(1, $2::int) AS n ORDER BY tenant, n`
}

/** The value of a column, as SQL over `tenant` and `n`. */
function sqlOf(column: PgColumn, shape: Shape, unique: boolean): string {
  if (column.name === 'tenant_id') return 'tenant'
  const type = column.getSQLType()
  if (type === 'uuid') return idOf(column.name, unique || column.name === 'id')
  if (type === 'text') return textOf(column.name, shape)
  if (type === 'uuid[]') return `ARRAY[${idOf(column.name, true)}]`
  if (type === 'date') return "date '2000-01-01' + n"
  if (type === 'jsonb') return `'{"line1": "1 Long Lane", "city": "Delft"}'`
  if (type === 'double precision') return 'n % 90'
  return type.startsWith('timestamp') ? "now() - n * interval '1 second'" : 'n'
}

function idOf(name: string, unique: boolean): string {
  return `md5(tenant || '${name}' || ${unique ? 'n' : `n / ${ROWS_PER_REFERENCE}`})::uuid`
}

function textOf(name: string, { enum: words, pattern = '' }: Shape): string {
  const known = words?.filter((word) => word !== null)
  if (known !== undefined) return `(ARRAY['${known.join("','")}'])[n % ${known.length} + 1]`
  if (pattern.includes('[A-Z]{3}')) return "'EUR'"
  if (pattern.includes('[0-9a-f]{64}')) return "lpad(to_hex(n), 64, '0')"
  return pattern.includes('@') ? "'E' || n || '@example.com'" : `'${name} ' || n`
}
