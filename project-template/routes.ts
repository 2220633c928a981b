import { count } from 'drizzle-orm'
import type { Scope } from 'freehold'
import { tasks } from './tables.ts'

export function routes(scope: Scope): void {
  scope.tenant.get('/summary', { access: 'tasks:read' }, async ({ tenant }) => {
    // No `where` for the tenant: the database shows only this tenant's rows.
    const rows = await tenant.db
      .select({ status: tasks.status, count: count() })
      .from(tasks)
      .groupBy(tasks.status)
    return Object.fromEntries(rows.map((row) => [row.status, row.count]))
  })
}
