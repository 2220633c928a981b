import { and, eq, gte, isNull, lt, sql } from 'drizzle-orm'
import type { Tenant } from 'freehold'
import { appointments } from './tables.ts'

/** Marks the appointments of the next 24 hours as reminded, once. A real application would send a message here. */
export async function remind(tenant: Tenant): Promise<number> {
  const reminded = await tenant.db
    .update(appointments)
    .set({ remindedAt: sql`now()` })
    .where(
      and(
        eq(appointments.status, 'booked'),
        isNull(appointments.remindedAt),
        gte(appointments.startsAt, sql`now()`),
        lt(appointments.startsAt, sql`now() + interval '24 hours'`),
      ),
    )
    .returning({ id: appointments.id })
  return reminded.length
}
