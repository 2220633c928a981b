import type { Tenant } from 'freehold'
import { tasks } from './tables.ts'

/** Rows for each demo tenant of `npm run dev`. */
export async function seed(tenant: Tenant): Promise<void> {
  await tenant.db
    .insert(tasks)
    .values([
      { title: `Say hello to ${tenant.name}`, status: 'done' },
      { title: 'Change tables.ts, then: npx freehold schema generate --name NAME' },
    ])
}
