import { sql } from 'drizzle-orm'
import { customType, text, timestamp, uuid } from 'drizzle-orm/pg-core'

/** Columns of tables that `tenantTable` does not make, because their key is another, and of kinds that drizzle has not. */
export const bytea = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'bytea' })
export const tenantId = () => uuid('tenant_id').notNull()
export const moment = (name: string) => timestamp(name, { withTimezone: true, mode: 'string' })
export const createdAt = () => moment('created_at').notNull().defaultNow()

/**
 * A column again, in lower case, kept by the server: for a comparison that does not tell case apart. An index of the
 * expression would not do, since `lower()` is not leakproof, and row-level security then looks at every row first.
 */
export const folded = (name: string) => text(`${name}_folded`).generatedAlwaysAs(sql.raw(`lower(${name})`))
