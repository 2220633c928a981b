import { defineApplication } from 'freehold'
import * as resources from './resources.ts'
import { routes } from './routes.ts'
import { seed } from './seed.ts'
import * as tables from './tables.ts'

export default defineApplication({
  name: 'application-name',
  tables,
  migrations: new URL('./migrations', import.meta.url),
  resources: Object.values(resources),
  routes,
  seed,
})

// Tells `request.tenant.db` the types of the tables above.
declare module 'freehold' {
  interface Register {
    tables: typeof tables
  }
}
