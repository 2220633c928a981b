import type { MigrationClient } from '../../migrations/transaction.ts'

/**
 * Queries of (object, detail) over the application's tables, `$1`. They find faults that would make a tenant's move fail. The isolation
 * audit accepts them, because the rows of tenants stay isolated.
 */
const HAZARDS: readonly {
  readonly sql: string
  readonly fault: (object: string, detail: string) => string
}[] = [
  {
    sql: `SELECT c.relname::text AS object, k.conname::text AS detail FROM pg_catalog.pg_constraint k
      JOIN own c ON c.oid = k.conrelid WHERE k.contype = 'f' AND 'r' IN (k.confdeltype, k.confupdtype)`,
    fault: (table, key) =>
      `The foreign key "${key}" of table "${table}" is RESTRICT, so PostgreSQL cannot check it at the end of the transaction, as a move needs. ` +
      "Use references(…) of tenantTable's third argument, or onDelete('no action').",
  },
  {
    sql: `SELECT c.relname::text AS object, a.attname::text AS detail FROM pg_catalog.pg_index i
      JOIN own c ON c.oid = i.indrelid
      JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY (i.indkey)
      WHERE i.indisprimary AND a.atttypid IN ('pg_catalog.float4'::pg_catalog.regtype, 'pg_catalog.float8'::pg_catalog.regtype,
        'pg_catalog.interval'::pg_catalog.regtype, 'pg_catalog.money'::pg_catalog.regtype)`,
    fault: (table, column) =>
      `The primary key of table "${table}" contains "${column}". The text of its type (float, interval, money) depends on settings, so it does not identify rows. ` +
      'Use numeric, an integer, a date or a text.',
  },
  {
    sql: `SELECT c.relname::text AS object, t.tgname::text AS detail FROM pg_catalog.pg_trigger t
      JOIN own c ON c.oid = t.tgrelid JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
      -- 1: for each row, 2: before, 8: delete, 16: update.
      WHERE NOT t.tgisinternal AND t.tgtype & 3 = 3 AND t.tgtype & 24 <> 0
        AND p.prosrc ~* '\\m(select|from|update|delete|insert|perform|execute|merge)\\M' AND p.prosrc !~* '\\mtenant_id\\M'
        AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
          AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd')))`,
    fault: (table, trigger) =>
      `The trigger "${trigger}" of table "${table}" runs before each row, and its statements do not name the tenant. In a cascade it would see the rows of ` +
      'every tenant. Add "tenant_id = OLD.tenant_id" to each of its statements, or make it an AFTER trigger.',
  },
]

export async function faultsOfHazards(client: MigrationClient, tables: readonly string[]): Promise<string[]> {
  const faults: string[] = []
  for (const { sql, fault } of HAZARDS) {
    const { rows } = await client.query<{ object: string; detail: string }>(
      `WITH own AS (SELECT * FROM pg_catalog.pg_class
          WHERE relnamespace = 'public'::pg_catalog.regnamespace AND relname = ANY ($1))
        ${sql} ORDER BY 1, 2`,
      [tables],
    )
    faults.push(...rows.map(({ object, detail }) => fault(object, detail)))
  }
  return faults
}
