import type { Tenant } from 'freehold'
import type * as tables from '../bookings/tables.ts'

declare module 'freehold' {
  interface Register {
    tables: typeof tables
  }
}

export async function firstSlot({ db, transaction }: Tenant): Promise<string | undefined> {
  const found = await db.query.bookings.findFirst({ with: { room: true } })
  const seats: number | undefined = found?.room.seats
  // @ts-expect-error: there is no such table
  db.query.invoices
  // @ts-expect-error: transactions are begun by the tenant
  db.transaction
  const inside = await transaction(async (tx, tenant) => {
    // @ts-expect-error: a slot is text
    const wrong: number = (await tenant.db.query.bookings.findMany())[0]?.slot
    return [wrong, await tx.query.rooms.findMany()]
  })
  return seats === undefined ? String(inside) : found?.slot
}
