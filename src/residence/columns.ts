import { customType, timestamp, uuid } from 'drizzle-orm/pg-core'

/** Columns that the tables of a tenant database share. */
export const bytea = customType<{ data: Buffer; driverData: Buffer }>({ dataType: () => 'bytea' })
export const tenantId = () => uuid('tenant_id').notNull()
export const id = () => uuid('id').notNull()
export const moment = (name: string) => timestamp(name, { withTimezone: true, mode: 'string' })
export const createdAt = () => moment('created_at').notNull().defaultNow()
export const updatedAt = () => moment('updated_at').notNull().defaultNow()
