import { defineApplication } from '../../../src/index.ts'
import * as tables from './tables.ts'

/** A small application that has nothing of the reference application. */
export const bookings = defineApplication({
  name: 'bookings',
  tables,
  migrations: new URL('./migrations', import.meta.url),
})
