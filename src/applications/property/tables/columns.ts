import { sql } from 'drizzle-orm'
import { customType, text, timestamp, uuid } from 'drizzle-orm/pg-core'

/** Columns for tables with another key than `tenantTable` makes, and column types that drizzle lacks. */
export const bytea = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'bytea' })
export const tenantId = () => uuid('tenant_id').notNull()
export const moment = (name: string) => timestamp(name, { withTimezone: true, mode: 'string' })
export const createdAt = () => moment('created_at').notNull().defaultNow()

/**
 * A generated copy of a column in lower case, for comparisons without case. An index on `lower(column)` would not help: `lower()`
 * is not leakproof, so row-level security would check every row first.
 */
export const folded = (name: string) => text(`${name}_folded`).generatedAlwaysAs(sql.raw(`lower(${name})`))
