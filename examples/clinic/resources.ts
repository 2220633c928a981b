import { choice, defineResource, email, moment, optional, text, uuid } from 'freehold'
import * as tables from './tables.ts'

export const practitioners = defineResource({
  name: 'practitioners',
  title: 'Practitioner',
  permission: 'practitioners',
  table: tables.practitioners,
  fields: { name: text(200), speciality: optional(text(100)) },
  sorts: ['createdAt', 'name'],
})

export const patients = defineResource({
  name: 'patients',
  title: 'Patient',
  permission: 'patients',
  table: tables.patients,
  fields: { name: text(200), email: optional(email()) },
  filters: ['email'],
})

/** Only `POST /bookings` creates them, so that no time is booked twice. This collection lists and cancels them. */
export const appointments = defineResource({
  name: 'appointments',
  title: 'Appointment',
  permission: 'appointments',
  table: tables.appointments,
  methods: ['update'],
  fields: {
    practitionerId: uuid(),
    patientId: uuid(),
    startsAt: moment(),
    endsAt: moment(),
    status: choice('booked', 'cancelled'),
    remindedAt: optional(moment()),
  },
  readOnly: ['practitionerId', 'patientId', 'startsAt', 'endsAt', 'remindedAt'],
  filters: ['practitionerId', 'patientId'],
  sorts: ['startsAt'],
  references: { practitionerId: practitioners, patientId: patients },
})
