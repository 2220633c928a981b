import { sql } from 'drizzle-orm'
import { check, text, timestamp, uuid } from 'drizzle-orm/pg-core'
import { tenantTable } from 'freehold'

const moment = (name: string) => timestamp(name, { withTimezone: true, mode: 'string' })

export const practitioners = tenantTable(
  'practitioners',
  { name: text('name').notNull(), speciality: text('speciality') },
  (t, { index }) => [index(t.name, t.id), index(t.createdAt, t.id)],
)

export const patients = tenantTable(
  'patients',
  { name: text('name').notNull(), email: text('email') },
  (t, { index, unique }) => [unique(t.email), index(t.createdAt, t.id)],
)

export const appointments = tenantTable(
  'appointments',
  {
    practitionerId: uuid('practitioner_id').notNull(),
    patientId: uuid('patient_id').notNull(),
    startsAt: moment('starts_at').notNull(),
    endsAt: moment('ends_at').notNull(),
    status: text('status').$type<'booked' | 'cancelled'>().notNull().default('booked'),
    remindedAt: moment('reminded_at'),
  },
  (t, { index, references }) => [
    references(t.practitionerId, () => practitioners),
    references(t.patientId, () => patients),
    index(t.practitionerId, t.startsAt),
    index(t.patientId, t.startsAt),
    index(t.startsAt, t.id),
    check('appointments_ends_at_check', sql`${t.endsAt} > ${t.startsAt}`),
  ],
)
