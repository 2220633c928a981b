import { Connection } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { CORE_TABLES } from '../../src/residence/isolation.ts'
import { API, type Homes, openHomes } from '../http/support.ts'
import { property } from '../support/application.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { collectionsOf, furnish } from './furnish.ts'
import { type ApiDocument, Prover, type Rows } from './prover.ts'

let homes: Homes
let document: ApiDocument
let rowsOf: Record<'shared' | 'own' | 'stranger', Rows>

beforeAll(async () => {
  homes = await openHomes()
  document = (await homes.gateway.call('GET', '/openapi.json')).body
  const [shared, own, stranger] = await Promise.all(
    [homes.shared, homes.own, homes.stranger].map((tenant) => furnish(homes.gateway, document, tenant)),
  )
  rowsOf = { shared: shared as Rows, own: own as Rows, stranger: stranger as Rows }
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

/** What a tenant has, whole, to see that nothing of it has changed. */
async function snapshot(tenant: TestTenant): Promise<unknown[]> {
  const lists = collectionsOf(document).filter((collection) => collection !== 'audit-log')
  return Promise.all(
    lists.map(async (collection) => {
      const answer = await homes.gateway.call('GET', `${API}/${collection}`, { token: tenant.token })
      return [collection, answer.status, answer.status === 200 ? answer.body.data : null]
    }),
  )
}

const proverOf = (gateway: TestGateway, attacker: 'shared' | 'own', only?: readonly string[]) =>
  new Prover(
    { gateway, document, databases: homes.urls, ...(only && { only }) },
    { tenant: homes[attacker], rows: rowsOf[attacker] },
  )

const APART = { leaks: [], violations: [] }

const PAIRS = [
  ['shared', 'stranger'],
  ['shared', 'own'],
  ['own', 'shared'],
] as const

test('every collection has a row to be found', () => {
  for (const rows of Object.values(rowsOf)) {
    expect([...rows.keys()].length).toBeGreaterThan(16)
    const empty = [...rows].filter(([, ids]) => ids.length === 0).map(([collection]) => collection)
    expect(empty).toEqual([])
  }
})

test.each(PAIRS)(
  'a caller of %s learns by no endpoint that a row of %s exists, and changes none',
  async (attacker, victim) => {
    const before = await snapshot(homes[victim])
    const { tried, ...found } = await proverOf(homes.gateway, attacker).prove(rowsOf[victim])
    expect(found).toEqual(APART)
    const withIds = Object.entries(document.paths)
      .filter(([path]) => path.includes('{'))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    expect(tried).toEqual(expect.arrayContaining(withIds))
    expect(tried.length).toBeGreaterThan(120)
    expect(await snapshot(homes[victim])).toEqual(before)
  },
)

test("finds the caller's own rows, so that it would find another's", async () => {
  const readable = ['places', 'leases', 'documents', 'proofs', 'payments', 'media']
  const rows = new Map([...rowsOf.shared].filter(([collection]) => readable.includes(collection)))
  const { leaks } = await proverOf(homes.gateway, 'shared', readable).findLeaks(rows)
  for (const collection of readable) expect(foundAt(leaks)).toContain(`GET ${API}/${collection}/{id}`)
})

/** Makes `places` of the shared database worse for as long as `fn` takes. */
async function weakened<T>(change: string, fn: () => Promise<T>): Promise<T> {
  const owner = superuserUrl(new URL(homes.stage.sharedUrl).pathname.slice(1))
  await query(owner, change.replaceAll('POLICY OF places', 'POLICY tenant_isolation ON places'))
  try {
    return await fn()
  } finally {
    await query(owner, "SELECT freehold_protect('public.places')")
  }
}

/** What refers to places, and would show a row of another tenant, is tried with them. */
const WEAKENED = ['places', 'estates']

const foundAt = (leaks: readonly string[]) => new Set(leaks.map((leak) => leak.split(':')[0]))

test('a policy that is gone is found though no row leaks, for statements name the tenant as well', async () => {
  const prove = () => proverOf(homes.gateway, 'shared', WEAKENED).prove(rowsOf.stranger)
  const { leaks, violations } = await weakened('DROP POLICY OF places', prove)
  expect({ leaks, violations }).toEqual({ leaks: [], violations: ['shared: policy-missing at places'] })
  expect(await prove()).toMatchObject(APART)
})

// Statements name the tenant, and the database's policies say it again. Each lock is tried with the other one open.
describe('with statements that forget to name the tenant', () => {
  let forgetful: TestGateway
  beforeAll(async () => {
    const wire = Connection.prototype as unknown as { parse(query: { text: string }, more?: unknown): void }
    const { parse } = wire
    vi.spyOn(wire, 'parse').mockImplementation(function (this: unknown, asked, more) {
      parse.call(this, { ...asked, text: forget(asked.text) }, more)
    })
    forgetful = await startGateway(homes.stage)
  })
  afterAll(async () => {
    await forgetful?.close()
    vi.restoreAllMocks()
  })

  test('the policies alone keep the tenants apart', async () => {
    expect(forget('select 1 from "places" where "places"."tenant_id" = $1 and "id" = $2')).not.toContain(
      'tenant_id',
    )
    expect(await proverOf(forgetful, 'shared').prove(rowsOf.stranger)).toMatchObject(APART)
  })

  test.each([
    ['ALTER POLICY OF places USING (true) WITH CHECK (true)', ['policy-foreign', 'policy-missing']],
    ['ALTER TABLE places DISABLE ROW LEVEL SECURITY', ['rls-disabled']],
  ])('after %s rows leak, and the rule and the table are told', async (change, rules) => {
    const { leaks, violations } = await weakened(change, () =>
      proverOf(forgetful, 'shared', WEAKENED).prove(rowsOf.stranger),
    )
    expect(foundAt(leaks)).toContain(`GET ${API}/places/{id}`)
    expect(foundAt(leaks)).not.toContain(`GET ${API}/estates/{id}`)
    expect(violations).toEqual(rules.map((rule) => `shared: ${rule} at places`))
  })

  test('without a policy no tenant sees a row, not even its own, and the lack is reported all the same', async () => {
    const { leaks, violations, own } = await weakened('DROP POLICY OF places', async () => ({
      ...(await proverOf(forgetful, 'shared', WEAKENED).prove(rowsOf.stranger)),
      own: await forgetful.call('GET', `${API}/places`, { token: homes.shared.token }),
    }))
    expect(own.body.data).toEqual([])
    expect(foundAt(leaks)).not.toContain(`GET ${API}/places/{id}`)
    expect(violations).toEqual(['shared: policy-missing at places'])
  })
})

const TABLE = new RegExp(`\\b(?:${[...CORE_TABLES, ...property.tenantTables].join('|')})\\b`)
const CATALOG =
  /\b(?:tenants|tenant_databases|client_keys|audit_log|signing_keys|data_keys|catalog_changes)\b/

/** The same statement without its `tenant_id = $n`; the catalog's, which have no policies behind them, stay whole. */
function forget(text: string): string {
  if (!TABLE.test(text) || CATALOG.test(text)) return text
  return text.replace(/(?:"?\w+"?\.)?"?tenant_id"? = \$(\d+)/g, '$$$1::uuid is not null')
}
