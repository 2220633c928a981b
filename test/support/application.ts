import { property } from '../../src/applications/property/application.ts'
import { readTenantMigrations } from '../../src/migrations/files.ts'

/** The application that the suite runs the core with. */
export { property }

/** Both lineages of its tenant databases. */
export const tenantMigrations = () => readTenantMigrations(property)
