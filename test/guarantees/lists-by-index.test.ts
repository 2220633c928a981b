import { getTableColumns } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { RESOURCES } from '../../src/applications/property/resources.ts'
import type { Resource } from '../../src/collections/define-resource.ts'
import { LIST_PARAMETERS, type ListQuery } from '../../src/collections/query.ts'
import { newId } from '../../src/lib/ids.ts'
import { connectClient } from '../../src/lib/postgres/pg.ts'
import type { TenantDb, TenantSession } from '../../src/sql/session.ts'
import { makeCursors } from '../support/cursors.ts'
import { createDatabase, createRole, dropAll, superuserUrl, urlFor } from '../support/database.ts'
import { manyRows } from '../support/many-rows.ts'
import { migratedTemplate } from '../support/migrated.ts'
import { entering, sealBytes } from '../support/seals.ts'
import { addressOf, withClient } from '../support/tenant-database.ts'

// A list must take as long with a thousand tenants as with one. So the server must find the requested rows by an index of the
// tenant.

const TENANTS = 200
const ROWS = 200
const PAGE = 50
const tenant = newId()
const cursors = makeCursors()
let client: pg.Client

beforeAll(async () => {
  const database = await createDatabase({ template: await migratedTemplate('tenant') })
  const role = await createRole()
  const tenants = [tenant, ...Array.from({ length: TENANTS - 1 }, () => newId())]
  await withClient(superuserUrl(database), async (superuser) => {
    await superuser.query('SET session_replication_role = replica')
    for (const resource of RESOURCES) await superuser.query(manyRows(resource), [tenants, ROWS])
    await superuser.query(
      `INSERT INTO residence (tenant_id, epoch, seal) SELECT id, 1, CASE WHEN id = $2 THEN ${sealBytes(tenant, 1)} END
         FROM unnest($1::uuid[]) AS id`,
      [tenants, tenant],
    )
    await superuser.query('ANALYZE')
    await superuser.query(`GRANT SELECT ON ALL TABLES IN SCHEMA public TO ${role.name}`)
  })
  // Connects as the gateway does, so that the server plans as it does for the gateway.
  const limits = { plansOnce: true, statementTimeoutMs: 0, connectTimeoutMs: 10_000 }
  client = await connectClient(addressOf(urlFor({ role, database })), limits)
})
afterAll(async () => {
  await client?.end()
  await dropAll()
})

interface Sent {
  readonly text: string
  readonly values: readonly unknown[]
}

/** A session of the tenant that records the statements that it should send. */
function listening(): { session: TenantSession; sent: Sent[] } {
  const sent: Sent[] = []
  const run = (statement: Sent): Promise<never> => {
    sent.push(statement)
    const asText = { getTypeParser: () => (text: string) => text }
    return client.query({ text: statement.text, values: [...statement.values], types: asText }) as never
  }
  const transaction = () => Promise.reject(new Error('not used'))
  return { session: { tenantId: tenant, run, db: {} as TenantDb, transaction }, sent }
}

interface Node {
  readonly 'Node Type': string
  readonly 'Parent Relationship'?: string
  readonly 'Index Cond'?: string
  readonly 'Rows Removed by Filter'?: number
  readonly 'Actual Rows': number
  readonly Plans?: readonly Node[]
}

/** Without the tenant check that comes before them. */
const nodesOf = (node: Node): Node[] => [
  node,
  ...(node.Plans ?? []).filter((plan) => plan['Parent Relationship'] !== 'InitPlan').flatMap(nodesOf),
]

/** The generic plan, and its execution with these values. */
async function planOf({ text, values }: Sent): Promise<Node[]> {
  const literals = values.map((value) => client.escapeLiteral(String(value)))
  const explain = `EXPLAIN (ANALYZE, TIMING off, FORMAT JSON) EXECUTE list(${literals.join()})`
  const answers = await client.query(`PREPARE list AS ${text}; ${explain}; DEALLOCATE list`)
  const [, explained] = answers as unknown as pg.QueryResult[]
  return nodesOf(explained?.rows[0]['QUERY PLAN'][0].Plan)
}

/** Every order of a collection with each of its filters and with none. The filters have the values of one of its rows. */
async function listsOf(resource: Resource): Promise<ListQuery[]> {
  const { session } = listening()
  const { properties } = resource.schemas.listQuery
  const filters = Object.keys(properties).filter((name) => !LIST_PARAMETERS.some((known) => known === name))
  const { data } = await resource.list(session, { limit: ROWS }, cursors)
  const row = data[ROWS / 2]
  const narrowed = filters.map((filter) => ({ [filter]: row?.[filter] }))
  const { enum: sorts } = properties.sort as { enum: readonly string[] }
  return sorts.flatMap((sort) => [{}, ...narrowed].map((given) => ({ ...given, sort })))
}

/** The statements of the first page and, if there is one, of the next page. */
async function pagesOf(resource: Resource, listQuery: ListQuery): Promise<Sent[]> {
  const { session, sent } = listening()
  const { nextCursor: cursor } = await resource.list(session, { ...listQuery, limit: PAGE }, cursors)
  if (cursor !== null) await resource.list(session, { ...listQuery, limit: PAGE, cursor }, cursors)
  expect(sent).toHaveLength(cursor === null ? 1 : 2)
  return sent
}

describe.each(RESOURCES.map((resource) => [resource.name, resource] as const))('/%s', (_name, resource) => {
  const columns = getTableColumns(resource.table) as Record<string, PgColumn>

  beforeEach(async () => {
    await client.query('BEGIN')
    await client.query(`${entering(tenant, 1)}, public.freehold_enter(1, false)`)
  })
  afterEach(() => client.query('ROLLBACK'))

  test('every page by every filter in every order is read through an index of the tenant, with few extra rows', async () => {
    for (const listQuery of await listsOf(resource)) {
      const { sort: _sort, ...filters } = listQuery
      for (const sent of await pagesOf(resource, listQuery)) {
        const nodes = await planOf(sent)
        const about = `${JSON.stringify(listQuery)}: ${JSON.stringify(nodes)}`
        expect(nodes.map((node) => node['Node Type']).join(), about).not.toContain('Seq Scan')
        const conditions = nodes.flatMap((node) => node['Index Cond'] ?? [])
        expect(conditions, about).toEqual([expect.stringMatching(/^\(+tenant_id = \$1\b/)])
        for (const filter of Object.keys(filters))
          expect(conditions[0], about).toContain(columns[filter]?.name)
        // One row more: if an index does not contain the id, the last row of the previous page is read again.
        const most = (of: (node: Node) => number) => Math.max(...nodes.map(of))
        expect(
          most((node) => node['Rows Removed by Filter'] ?? 0),
          about,
        ).toBeLessThanOrEqual(1)
        expect(
          most((node) => node['Actual Rows']),
          about,
        ).toBeLessThanOrEqual(PAGE + 2)
      }
    }
  })
})
