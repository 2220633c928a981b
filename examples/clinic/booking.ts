import { and, eq, gt, lt } from 'drizzle-orm'
import { problem, type Tenant } from 'freehold'
import { appointments, practitioners } from './tables.ts'

export interface Booking {
  readonly practitionerId: string
  readonly patientId: string
  readonly startsAt: string
  readonly endsAt: string
}

/** Books a time, or answers 409 SLOT_TAKEN. */
export function book(tenant: Tenant, booking: Booking) {
  return tenant.transaction(async (db) => {
    // The lock: bookings of one practitioner run one after the other, and each one sees the result of the previous one.
    const [practitioner] = await db
      .select({ name: practitioners.name })
      .from(practitioners)
      .where(eq(practitioners.id, booking.practitionerId))
      .for('update')
    if (practitioner === undefined) throw problem('REFERENCE_NOT_FOUND', 'There is no such practitioner.')
    const [taken] = await db
      .select({ startsAt: appointments.startsAt })
      .from(appointments)
      .where(
        and(
          eq(appointments.practitionerId, booking.practitionerId),
          eq(appointments.status, 'booked'),
          lt(appointments.startsAt, booking.endsAt),
          gt(appointments.endsAt, booking.startsAt),
        ),
      )
      .limit(1)
    if (taken !== undefined) throw problem('SLOT_TAKEN', `${practitioner.name} is not free then.`)
    const [made] = await db.insert(appointments).values(booking).returning({ id: appointments.id })
    return { id: made?.id, practitioner: practitioner.name }
  })
}
