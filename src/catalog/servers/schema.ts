import { sql } from 'drizzle-orm'
import { check, integer, jsonb, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import type { HandshakeOptions } from '../../lib/postgres/connection-string.ts'
import { bytea, createdAt, moment, updatedAt } from '../columns.ts'

/**
 * The database servers on which Freehold may create databases. `sealed_connection_string` is the administrator's, bound to this
 * row's id and `row_version`. A server cannot be used while it has a last error. `last_checked_at` is when the last check began:
 * each check writes it first, so that no other replica checks the server in the same round.
 */
export const servers = pgTable(
  'servers',
  {
    id: uuid('id').primaryKey(),
    name: text('name').notNull(),
    rowVersion: integer('row_version').notNull().default(1),
    host: text('host').notNull(),
    port: integer('port').notNull(),
    databaseName: text('database_name').notNull(),
    userName: text('user_name').notNull(),
    sslMode: text('ssl_mode').notNull(),
    caCertificate: text('ca_certificate'),
    handshake: jsonb('handshake').$type<HandshakeOptions>().notNull().default({}),
    sealedConnectionString: bytea('sealed_connection_string').notNull(),
    region: text('region'),
    capacity: integer('capacity').notNull(),
    status: text('status').$type<'active' | 'draining'>().notNull().default('active'),
    systemIdentifier: text('system_identifier'),
    lastErrorCode: text('last_error_code'),
    lastErrorMessage: text('last_error_message'),
    lastErrorAt: moment('last_error_at'),
    lastCheckedAt: moment('last_checked_at'),
    createdAt: createdAt(),
    updatedAt: updatedAt(),
  },
  (t) => [
    uniqueIndex('servers_name_key').on(sql`lower(${t.name})`),
    uniqueIndex('servers_address_key').on(t.host, t.port),
    check('servers_status_check', sql`${t.status} in ('active', 'draining')`),
    check('servers_capacity_check', sql`${t.capacity} >= 0`),
  ],
)

export type ServerRow = typeof servers.$inferSelect
