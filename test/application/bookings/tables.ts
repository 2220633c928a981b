import { relations, sql } from 'drizzle-orm'
import { check, integer, text, uuid } from 'drizzle-orm/pg-core'
import { referenceTable, tenantTable } from '../../../src/index.ts'

/** Has no tenant. The migration writes its rows. */
export const regions = referenceTable('regions', {
  code: text('code').primaryKey(),
  name: text('name').notNull(),
})

export const rooms = tenantTable(
  'rooms',
  { name: text('name').notNull(), seats: integer('seats').notNull().default(1) },
  (t, { unique }) => [unique(t.name), check('rooms_seats_check', sql`${t.seats} > 0`)],
)

export const bookings = tenantTable(
  'bookings',
  { roomId: uuid('room_id').notNull(), slot: text('slot').notNull(), note: text('note') },
  (t, { unique, references }) => [unique(t.roomId, t.slot), references(t.roomId, () => rooms)],
)

export const bookingRelations = relations(bookings, ({ one }) => ({
  room: one(rooms, { fields: [bookings.tenantId, bookings.roomId], references: [rooms.tenantId, rooms.id] }),
}))
