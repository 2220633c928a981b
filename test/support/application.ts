import { property } from '../../src/applications/property/application.ts'
import { readTenantMigrations } from '../../src/migrations/files.ts'

/** The application with which this suite runs the core. */
export { property }

/** Both lineages of its tenant databases. */
export const tenantMigrations = () => readTenantMigrations(property)
