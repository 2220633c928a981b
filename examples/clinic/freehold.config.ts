import { defineApplication } from 'freehold'
import { remind } from './reminders.ts'
import * as resources from './resources.ts'
import { routes } from './routes.ts'
import { seed } from './seed.ts'
import * as tables from './tables.ts'

export default defineApplication({
  name: 'clinic',
  tables,
  migrations: new URL('./migrations', import.meta.url),
  resources: Object.values(resources),
  errors: { SLOT_TAKEN: { status: 409, title: 'That time is taken' } },
  routes,
  jobs: [{ name: 'remind', cron: '0 7 * * *', perTenant: remind }],
  seed,
})

declare module 'freehold' {
  interface Register {
    tables: typeof tables
  }
}
