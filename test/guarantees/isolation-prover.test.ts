import { Connection } from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { TENANT_TABLES } from '../../src/tenant/isolation.ts'
import { API, type Homes, openHomes } from '../http/support.ts'
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

const proverOf = (gateway: TestGateway, attacker: 'shared' | 'own') =>
  new Prover(gateway, document, { tenant: homes[attacker], rows: rowsOf[attacker] })

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
  'whoever is in %s learns by no route that a row of %s exists, and changes none',
  async (attacker, victim) => {
    const before = await snapshot(homes[victim])
    const { tried, leaks } = await proverOf(homes.gateway, attacker).findLeaks(rowsOf[victim])
    expect(leaks).toEqual([])
    const withIds = Object.entries(document.paths)
      .filter(([path]) => path.includes('{'))
      .flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    expect(tried).toEqual(expect.arrayContaining(withIds))
    expect(tried.length).toBeGreaterThan(120)
    expect(await snapshot(homes[victim])).toEqual(before)
  },
)

test("finds the caller's own rows, so that it would find another's", async () => {
  const { leaks } = await proverOf(homes.gateway, 'shared').findLeaks(onlyReadable(rowsOf.shared))
  const found = new Set(leaks.map((leak) => leak.split(':')[0]))
  for (const collection of ['places', 'leases', 'documents', 'proofs', 'payments', 'media'])
    expect(found).toContain(`GET ${API}/${collection}/{id}`)
})

/** Without the tenant itself, which every route knows, and its people: who changes themselves ends their own token. */
function onlyReadable(rows: Rows): Rows {
  return new Map([...rows].filter(([collection]) => !['tenants', 'users'].includes(collection)))
}

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
    expect((await proverOf(forgetful, 'shared').findLeaks(rowsOf.stranger)).leaks).toEqual([])
  })

  test('one policy less is found', async () => {
    const shared = superuserUrl(new URL(homes.stage.sharedUrl).pathname.slice(1))
    await query(shared, 'ALTER TABLE places DISABLE ROW LEVEL SECURITY')
    try {
      const { leaks } = await proverOf(forgetful, 'shared').findLeaks(rowsOf.stranger)
      const found = new Set(leaks.map((leak) => leak.split(':')[0]))
      expect(found).toContain(`GET ${API}/places/{id}`)
      expect(found).not.toContain(`GET ${API}/estates/{id}`)
    } finally {
      await query(shared, 'ALTER TABLE places ENABLE ROW LEVEL SECURITY')
    }
  })
})

const TABLE = new RegExp(`\\b(?:${TENANT_TABLES.join('|')})\\b`)
const CATALOG =
  /\b(?:tenants|tenant_databases|client_keys|audit_log|signing_keys|data_keys|catalog_changes)\b/

/** The same statement without its `tenant_id = $n`; the catalog's, which have no policies behind them, stay whole. */
function forget(text: string): string {
  if (!TABLE.test(text) || CATALOG.test(text)) return text
  return text.replace(/(?:"?\w+"?\.)?"?tenant_id"? = \$(\d+)/g, '$$$1::uuid is not null')
}
