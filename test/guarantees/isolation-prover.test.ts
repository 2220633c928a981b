import { Connection } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { CORE_TABLES } from '../../src/residence/isolation.ts'
import { API, type Fixture, openFixture } from '../http/support.ts'
import { property } from '../support/application.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { collectionsOf, furnish } from './furnish.ts'
import { type ApiDocument, Prover, type Rows } from './prover.ts'

let fixture: Fixture
let document: ApiDocument
let rowsOf: Record<'shared' | 'dedicated' | 'other', Rows>

beforeAll(async () => {
  fixture = await openFixture()
  document = (await fixture.gateway.call('GET', '/openapi.json')).body
  const [shared, dedicated, other] = await Promise.all(
    [fixture.shared, fixture.dedicated, fixture.other].map((tenant) =>
      furnish(fixture.gateway, document, tenant),
    ),
  )
  rowsOf = { shared: shared as Rows, dedicated: dedicated as Rows, other: other as Rows }
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

/** All rows of a tenant, to see that none of them has changed. */
async function snapshot(tenant: TestTenant): Promise<unknown[]> {
  const lists = collectionsOf(document).filter((collection) => collection !== 'audit-log')
  return Promise.all(
    lists.map(async (collection) => {
      const answer = await fixture.gateway.call('GET', `${API}/${collection}`, { token: tenant.token })
      return [collection, answer.status, answer.status === 200 ? answer.body.data : null]
    }),
  )
}

const proverOf = (gateway: TestGateway, attacker: 'shared' | 'dedicated', only?: readonly string[]) =>
  new Prover(
    { gateway, document, databases: fixture.urls, ...(only && { only }) },
    { tenant: fixture[attacker], rows: rowsOf[attacker] },
  )

const APART = { leaks: [], violations: [] }

const PAIRS = [
  ['shared', 'other'],
  ['shared', 'dedicated'],
  ['dedicated', 'shared'],
] as const

test('every collection has a row that can be found', () => {
  for (const rows of Object.values(rowsOf)) {
    expect([...rows.keys()].length).toBeGreaterThan(16)
    const empty = [...rows].filter(([, ids]) => ids.length === 0).map(([collection]) => collection)
    expect(empty).toEqual([])
  }
})

test.each(PAIRS)(
  'a caller of %s learns through no endpoint that a row of %s exists, and changes none',
  async (attacker, victim) => {
    const before = await snapshot(fixture[victim])
    const { tried, ...found } = await proverOf(fixture.gateway, attacker).prove(rowsOf[victim])
    expect(found).toEqual(APART)
    const withIds = Object.entries(document.paths)
      .filter(([path]) => path.includes('{'))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    expect(tried).toEqual(expect.arrayContaining(withIds))
    expect(tried.length).toBeGreaterThan(120)
    expect(await snapshot(fixture[victim])).toEqual(before)
  },
)

test("the prover finds the caller's own rows, so it would find another tenant's rows", async () => {
  const readable = ['places', 'leases', 'documents', 'proofs', 'payments', 'media']
  const rows = new Map([...rowsOf.shared].filter(([collection]) => readable.includes(collection)))
  const { leaks } = await proverOf(fixture.gateway, 'shared', readable).findLeaks(rows)
  for (const collection of readable) expect(foundAt(leaks)).toContain(`GET ${API}/${collection}/{id}`)
})

/** Weakens `places` of the shared database while `fn` runs. */
async function weakened<T>(change: string, fn: () => Promise<T>): Promise<T> {
  const owner = superuserUrl(new URL(fixture.stage.sharedUrl).pathname.slice(1))
  await query(owner, change.replaceAll('POLICY OF places', 'POLICY tenant_isolation ON places'))
  try {
    return await fn()
  } finally {
    await query(owner, "SELECT freehold_protect('public.places')")
  }
}

/** Collections that refer to places are tried with them, because they would show a row of another tenant. */
const WEAKENED = ['places', 'estates']

const foundAt = (leaks: readonly string[]) => new Set(leaks.map((leak) => leak.split(':')[0]))

test('the prover finds a missing policy even if no row leaks, because statements name the tenant as well', async () => {
  const prove = () => proverOf(fixture.gateway, 'shared', WEAKENED).prove(rowsOf.other)
  const { leaks, violations } = await weakened('DROP POLICY OF places', prove)
  expect({ leaks, violations }).toEqual({ leaks: [], violations: ['shared: policy-missing at places'] })
  expect(await prove()).toMatchObject(APART)
})

// Statements name the tenant, and the policies of the database check it again. Each protection is tried without the other.
describe('with statements that do not name the tenant', () => {
  let forgetful: TestGateway
  beforeAll(async () => {
    const wire = Connection.prototype as unknown as { parse(query: { text: string }, more?: unknown): void }
    const { parse } = wire
    vi.spyOn(wire, 'parse').mockImplementation(function (this: unknown, asked, more) {
      parse.call(this, { ...asked, text: forget(asked.text) }, more)
    })
    forgetful = await startGateway(fixture.stage)
  })
  afterAll(async () => {
    await forgetful?.close()
    vi.restoreAllMocks()
  })

  test('the policies alone keep the tenants apart', async () => {
    expect(forget('select 1 from "places" where "places"."tenant_id" = $1 and "id" = $2')).not.toContain(
      'tenant_id',
    )
    expect(await proverOf(forgetful, 'shared').prove(rowsOf.other)).toMatchObject(APART)
  })

  test.each([
    ['ALTER POLICY OF places USING (true) WITH CHECK (true)', ['policy-foreign', 'policy-missing']],
    ['ALTER TABLE places DISABLE ROW LEVEL SECURITY', ['rls-disabled']],
  ])('rows leak after %s, and the prover names the rule and the table', async (change, rules) => {
    const { leaks, violations } = await weakened(change, () =>
      proverOf(forgetful, 'shared', WEAKENED).prove(rowsOf.other),
    )
    expect(foundAt(leaks)).toContain(`GET ${API}/places/{id}`)
    expect(foundAt(leaks)).not.toContain(`GET ${API}/estates/{id}`)
    expect(violations).toEqual(rules.map((rule) => `shared: ${rule} at places`))
  })

  test('no tenant sees a row without a policy, not even its own, and the prover reports the missing policy', async () => {
    const { leaks, violations, own } = await weakened('DROP POLICY OF places', async () => ({
      ...(await proverOf(forgetful, 'shared', WEAKENED).prove(rowsOf.other)),
      own: await forgetful.call('GET', `${API}/places`, { token: fixture.shared.token }),
    }))
    expect(own.body.data).toEqual([])
    expect(foundAt(leaks)).not.toContain(`GET ${API}/places/{id}`)
    expect(violations).toEqual(['shared: policy-missing at places'])
  })
})

const TABLE = new RegExp(`\\b(?:${[...CORE_TABLES, ...property.tenantTables].join('|')})\\b`)
const CATALOG =
  /\b(?:tenants|tenant_databases|client_keys|audit_log|signing_keys|data_keys|catalog_changes)\b/

/** The same statement without its `tenant_id = $n`. Statements to the catalog, which has no policies, stay unchanged. */
function forget(text: string): string {
  if (!TABLE.test(text) || CATALOG.test(text)) return text
  return text.replace(/(?:"?\w+"?\.)?"?tenant_id"? = \$(\d+)/g, '$$$1::uuid is not null')
}
