import type { SQL } from 'drizzle-orm'
import { is, Param, Placeholder, sql } from 'drizzle-orm'
import { PgColumn } from 'drizzle-orm/pg-core'
import type { SessionStatement, TenantSession } from '../sql/session.ts'
import { servedKindOf } from '../sql/statement-kind.ts'
import { sessionBehind } from '../sql/tenant-db.ts'
import { type DeclaredColumn, WireStatement } from '../sql/wire/wire-statement.ts'

/** The tenant whose rows a call reads or writes: `request.tenant`, the tenant of a transaction, or a session of the core. */
export type Within = Reach | { readonly id: string; readonly db: object }

/** The part of a session that a statement needs. */
export type Reach = Pick<TenantSession, 'tenantId' | 'run'>

/** Values by the name of their placeholder. */
export type Values = Readonly<Record<string, unknown>>

/**
 * A statement whose SQL drizzle builds once. Only the values differ between requests. Building the SQL for each request would halve the
 * throughput (drizzle unprepared reached 0.52 of a named statement). With one text the server can keep the statement prepared.
 */
export interface Statement {
  bind(values: Values): SessionStatement
}

type Slot = (values: Values) => unknown

/** Takes the SQL of a drizzle query whose values are placeholders. */
export function compile(
  query: { toSQL(): { sql: string; params: unknown[] } },
  columns?: readonly DeclaredColumn[],
): Statement {
  const { sql: text, params } = query.toSQL()
  const slots = params.map(slotOf)
  const kind = servedKindOf(text)
  const wire =
    kind === 'read' && columns !== undefined
      ? WireStatement.for(text, { columns, parameters: params.map(typeOf) })
      : null
  const fixed = { text, rowMode: 'object', kind, ...(wire !== null && { wire }) } as const
  return { bind: (values) => ({ ...fixed, values: slots.map((slot) => slot(values)) }) }
}

/** A placeholder whose value is encoded as its column needs it. */
export function value(name: string, column: PgColumn): SQL {
  return sql`${sql.param(sql.placeholder(name), column)}`
}

/** The session behind the tenant that a caller passes. @throws TypeError for a `db` that is not a tenant's */
export function reachOf(tenant: Within): Reach {
  if ('run' in tenant) return tenant
  const session = sessionBehind(tenant.db)
  return { tenantId: tenant.id, run: (statement) => session.run(statement) }
}

function slotOf(param: unknown): Slot {
  if (is(param, Placeholder)) return ({ [param.name as string]: given = null }) => given
  if (is(param, Param) && is(param.value, Placeholder)) return encoded(param.value.name, param)
  return () => param
}

/** The type of the column that the parameter is compared with. Null if it is not known here. */
function typeOf(param: unknown): string | null {
  return is(param, Param) && is(param.encoder, PgColumn) ? param.encoder.getSQLType() : null
}

/** Null is sent as SQL's null, because drizzle's encoder for jsonb would send the null of JSON. */
function encoded(name: string, param: Param): Slot {
  return ({ [name]: given }) =>
    given === undefined || given === null ? null : param.encoder.mapToDriverValue(given)
}
