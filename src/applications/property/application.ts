import { type Application, defineApplication } from '../../index.ts'
import { RESOURCES } from './resources.ts'
import { creditRoutes } from './routes/credits.ts'
import { documentRoutes } from './routes/documents.ts'
import { mediaRoutes } from './routes/media.ts'
import { signatureRoutes } from './routes/signatures.ts'
import { seedDemoRows } from './seed.ts'
import * as properties from './tables/properties.ts'
import * as records from './tables/records.ts'

/** The reference application: a property manager's buildings, leases, people and documents. */
export const property: Application = defineApplication({
  name: 'property',
  tables: { ...properties, ...records },
  migrations: new URL('../../../tenant-migrations/property', import.meta.url),
  resources: RESOURCES,
  routes: (scope) => {
    for (const register of [creditRoutes, documentRoutes, signatureRoutes, mediaRoutes]) register(scope)
  },
  seed: seedDemoRows,
})
