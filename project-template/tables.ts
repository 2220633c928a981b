import { text } from 'drizzle-orm/pg-core'
import { tenantTable } from 'freehold'

/** Every row belongs to one tenant. `tenantId`, `id`, `createdAt` and `updatedAt` are added, and keys begin with the tenant. */
export const tasks = tenantTable(
  'tasks',
  {
    title: text('title').notNull(),
    status: text('status').$type<'open' | 'done'>().notNull().default('open'),
  },
  (t, { index }) => [index(t.createdAt, t.id), index(t.status, t.createdAt, t.id)],
)
