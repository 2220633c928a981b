/**
 * drizzle's usual way to row-level security: a transaction that calls `set_config`, with the query builder inside. The
 * statements are not prepared, as in most services that use it.
 */
import { and, asc, eq, sql } from 'drizzle-orm'
import { drizzle, type NodePgDatabase } from 'drizzle-orm/node-postgres'
import { doublePrecision, jsonb, pgTable, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { newId } from '../../src/lib/ids.ts'
import { poolFromEnvironment } from './environment-pool.ts'
import { serve } from './service.ts'
import { onlyRow } from './statements.ts'

const db = drizzle(poolFromEnvironment())

const places = pgTable('places', {
  tenantId: uuid('tenant_id').notNull(),
  id: uuid('id').notNull(),
  name: text('name').notNull(),
  kind: text('kind'),
  address: jsonb('address'),
  latitude: doublePrecision('latitude'),
  longitude: doublePrecision('longitude'),
  createdAt: timestamp('created_at', { withTimezone: true }).notNull().defaultNow(),
  updatedAt: timestamp('updated_at', { withTimezone: true }).notNull().defaultNow(),
})

type Transaction = Parameters<Parameters<NodePgDatabase['transaction']>[0]>[0]

function asTenant<T>(tenantId: string, work: (tx: Transaction) => Promise<T>): Promise<T> {
  return db.transaction(async (tx) => {
    await tx.execute(sql`SELECT set_config('app.tenant_id', ${tenantId}, true)`)
    return work(tx)
  })
}

const one = (tenantId: string, id: string) => and(eq(places.tenantId, tenantId), eq(places.id, id))

await serve({
  find: (tenantId, id) =>
    asTenant(tenantId, async (tx) => (await tx.select().from(places).where(one(tenantId, id)))[0]),
  list: (tenantId, limit) =>
    asTenant(tenantId, (tx) =>
      tx
        .select()
        .from(places)
        .where(eq(places.tenantId, tenantId))
        .orderBy(asc(places.createdAt), asc(places.id))
        .limit(limit),
    ),
  insert: (tenantId, place) =>
    asTenant(tenantId, async (tx) =>
      onlyRow(
        await tx
          .insert(places)
          .values({ ...place, tenantId, id: newId() })
          .returning(),
      ),
    ),
  update: (tenantId, id, changes) =>
    asTenant(tenantId, async (tx) => {
      const values = { ...changes, updatedAt: sql`now()` }
      return (await tx.update(places).set(values).where(one(tenantId, id)).returning())[0]
    }),
})
