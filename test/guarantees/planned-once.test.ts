import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, urlFor } from '../support/database.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'

// If the page size is a parameter, PostgreSQL plans a list again for each page. That is half of the cost of a page.

const PAGES = 12
let gateway: TestGateway
const tenants = {} as Record<'shared' | 'dedicated', TestTenant>

beforeAll(async () => {
  gateway = await startGateway(await createStage(), { ACQUIRE_TIMEOUT_MS: '15000' })
  tenants.shared = await gateway.createTenant()
  tenants.dedicated = await gateway.createTenant()
  const role = await createRole()
  const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  expect(await gateway.registerDatabase(tenants.dedicated.id, url)).toMatchObject({ status: 'active' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

test.each(['shared', 'dedicated'] as const)(
  'a statement is planned once for each connection, in a %s database',
  async (placement) => {
    const { code, token } = tenants[placement]
    // One after the other, so that all requests and the query about the statements use the same connection.
    for (let limit = 1; limit <= PAGES; limit++) {
      expect((await gateway.call('GET', `/api/v1/places?limit=${limit}`, { token })).status).toBe(200)
    }
    const route = await gateway.gateway.routeOf(code)
    if (route === null) throw new Error('no such tenant')
    const { rows } = await gateway.gateway
      .sessionOf(route)
      .db.execute(
        sql`select sum(custom_plans)::int as anew, max(generic_plans)::int as kept from pg_prepared_statements`,
      )
    expect(rows).toEqual([{ anew: 0, kept: expect.toSatisfy((kept) => kept >= PAGES) }])
  },
)
