import { and, count, eq, gte, lt, sql } from 'drizzle-orm'
import { moment, type Scope, uuid } from 'freehold'
import { Type } from 'typebox'
import { book } from './booking.ts'
import { appointments, practitioners } from './tables.ts'

const Booking = Type.Object(
  { practitionerId: uuid(), patientId: uuid(), startsAt: moment(), endsAt: moment() },
  { additionalProperties: false },
)
const Period = Type.Object({ from: moment(), to: moment() }, { additionalProperties: false })

export function routes(scope: Scope): void {
  scope.tenant.post(
    '/bookings',
    { access: 'appointments:write', schema: { body: Booking } },
    async (request, reply) => {
      const booked = await book(request.tenant, request.body)
      return reply.code(201).send(booked)
    },
  )

  scope.tenant.get(
    '/workload',
    { access: 'appointments:read', schema: { querystring: Period } },
    async (request) => {
      const { from, to } = request.query
      const minutes = sql<number>`coalesce(sum(extract(epoch from ${appointments.endsAt} - ${appointments.startsAt})) / 60, 0)::int`
      const data = await request.tenant.db
        .select({ practitioner: practitioners.name, appointments: count(appointments.id), minutes })
        .from(practitioners)
        .leftJoin(
          appointments,
          and(
            eq(appointments.practitionerId, practitioners.id),
            eq(appointments.status, 'booked'),
            gte(appointments.startsAt, from),
            lt(appointments.startsAt, to),
          ),
        )
        .groupBy(practitioners.id, practitioners.name)
        .orderBy(practitioners.name)
      return { data }
    },
  )
}
