import type { SQL } from 'drizzle-orm'
import { is, Param, Placeholder, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { SessionStatement, TenantSession } from '../sql/session.ts'
import { servedKindOf } from '../sql/statement-kind.ts'
import { sessionBehind } from '../sql/tenant-db.ts'

/** The tenant whose rows are reached: `request.tenant`, the tenant of a transaction, or the core's own session. */
export type Within = Reach | { readonly id: string; readonly db: object }

/** What a statement needs of a session. */
export type Reach = Pick<TenantSession, 'tenantId' | 'run'>

/** Values by the name of their placeholder. */
export type Values = Readonly<Record<string, unknown>>

/**
 * A statement that drizzle wrote once. Only its values differ between requests: building the SQL anew each time halves
 * the throughput (drizzle unprepared reached 0.52 of a named statement), and one text per statement is also what lets
 * the server keep it prepared.
 */
export interface Statement {
  bind(values: Values): SessionStatement
}

type Slot = (values: Values) => unknown

/** Takes the SQL of a drizzle query whose values are placeholders. */
export function compile(query: { toSQL(): { sql: string; params: unknown[] } }): Statement {
  const { sql: text, params } = query.toSQL()
  const slots = params.map(slotOf)
  const kind = servedKindOf(text)
  return { bind: (values) => ({ text, values: slots.map((slot) => slot(values)), rowMode: 'object', kind }) }
}

/** A placeholder whose value is encoded as its column needs it. */
export function value(name: string, column: PgColumn): SQL {
  return sql`${sql.param(sql.placeholder(name), column)}`
}

/** The session of what a caller passes as the tenant. @throws TypeError for a `db` that is not a tenant's */
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

/** Null stays SQL's null: drizzle's encoder of jsonb would send JSON's. */
function encoded(name: string, param: Param): Slot {
  return ({ [name]: given }) =>
    given === undefined || given === null ? null : param.encoder.mapToDriverValue(given)
}
