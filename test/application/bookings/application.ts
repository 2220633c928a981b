import { defineApplication, defineResource, integer, text } from '../../../src/index.ts'
import { routes } from './routes.ts'
import * as tables from './tables.ts'

/** A small application that uses nothing of the reference application. */
export const bookings = defineApplication({
  name: 'bookings',
  tables,
  migrations: new URL('./migrations', import.meta.url),
  permissions: ['reports:export'],
  resources: [
    defineResource({
      name: 'rooms',
      title: 'Room',
      permission: 'rooms',
      table: tables.rooms,
      fields: { name: text(50), seats: integer(1) },
    }),
  ],
  routes,
  errors: {
    SLOT_TAKEN: { status: 409, title: 'The slot is taken' },
    CLOSED_TODAY: { status: 503, title: 'Nothing is open today', retryAfterSeconds: 60 },
  },
})
