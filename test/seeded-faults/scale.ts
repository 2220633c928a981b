import type { SeededFault } from './seeded-fault.ts'

const LARGE_CATALOG = ['test/catalog/large-catalog.test.ts']

export const SCALE: readonly SeededFault[] = [
  {
    name: 'a claim of health checks has one condition for all entries that are due',
    file: 'src/catalog/databases/claims.ts',
    find: 'oldestFirst(db, old, limit)',
    replace: 'oldestFirst(db, or(old, sql`${table.lastCheckedAt} is null`), limit)',
    tests: LARGE_CATALOG,
  },
  {
    name: 'the order of due health checks has no index',
    file: 'catalog-migrations/0013_indexes-of-order.sql',
    find: 'CREATE INDEX "tenant_databases_due_idx" ON "tenant_databases" USING btree ("last_checked_at" NULLS FIRST)',
    replace: 'CREATE INDEX "tenant_databases_due_idx" ON "tenant_databases" USING btree ("id")',
    tests: LARGE_CATALOG,
  },
  {
    name: 'a claim of health checks locks entries that it does not claim',
    file: 'src/catalog/databases/claims.ts',
    find: 'unionAll(idsOf(never), idsOf(earlier), idsOf(ahead)).limit(limit)',
    replace: 'unionAll(idsOf(earlier), idsOf(never), idsOf(ahead)).orderBy(sql`1`).limit(limit)',
    tests: LARGE_CATALOG,
  },
]
