import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { expectProblem, moveToOwnDatabase, telling, UNKNOWN_ID } from './support.ts'

const CROSS = { status: 403, code: 'CROSS_TENANT_ACCESS' }

/**
 *   holding ── region (own database) ── branch
 *      └────── office                    stranger
 */
interface Family {
  readonly holding: TestTenant
  readonly region: TestTenant
  readonly branch: TestTenant
  readonly office: TestTenant
  readonly stranger: TestTenant
}

let stage: Stage
let gateway: TestGateway
let replica: TestGateway
let family: Family

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  replica = await startGateway(stage)
  const make = async (parent?: TestTenant) => {
    const tenant = await gateway.createTenant()
    if (parent !== undefined) await adopt(tenant, parent)
    return tenant
  }
  const holding = await make()
  const region = await make(holding)
  const [branch, office, stranger] = [await make(region), await make(holding), await make()]
  await moveToOwnDatabase(gateway, region.id)
  family = { holding, region, branch, office, stranger }
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await dropAll()
})

/** This many tenants, each the parent of the next. */
async function makeLine(length: number): Promise<{ id: string; code: string }[]> {
  const line: { id: string; code: string }[] = []
  for (let n = 0; n < length; n += 1) {
    const code = `line-${n}-${randomBytes(4).toString('hex')}`
    const parentId = line.at(-1)?.id ?? null
    const { status, body } = await gateway.operator('POST', '/tenants', { code, name: code, parentId })
    expect(status).toBe(201)
    line.push({ id: body.id, code })
  }
  return line
}

test('an ancestor acts for a descendant at any distance, on gateways that have loaded the hierarchy and on others', async () => {
  const line = await makeLine(70)
  const [first, last] = [line[0], line.at(-1)]
  const root = await gateway.createTenant()
  await gateway.operator('PATCH', `/tenants/${first?.id}`, { parentId: root.id })
  for (const each of [replica, gateway, gateway]) {
    const headers = { 'x-account-id': last?.code ?? '' }
    const { status, body } = await each.call('GET', '/api/v1/auth/me', { token: root.token, headers })
    expect([status, body.actingFor?.id]).toEqual([200, last?.id])
    // An unrelated tenant, at any distance, is refused as always.
    const { token } = family.stranger
    expectProblem(await each.call('GET', '/api/v1/auth/me', { token, headers }), CROSS)
  }
})

async function adopt(child: TestTenant, parent: TestTenant | null) {
  const { status, body } = await gateway.operator('PATCH', `/tenants/${child.id}`, {
    parentId: parent?.id ?? null,
  })
  expect(status).toBe(200)
  return body.effective
}

function act(as: TestTenant, who: string, more: { method?: string; path?: string; body?: object } = {}) {
  const { method = 'GET', path = '/places', body } = more
  return gateway.call(method, `/api/v1${path}`, {
    token: as.token,
    headers: { 'x-account-id': who },
    ...(body && { body }),
  })
}

/** A client key of the tenant with exactly these permissions. */
async function keyOf(tenant: TestTenant, permissions: string[]): Promise<Record<string, string>> {
  const { body } = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, {
    name: 'k',
    permissions,
  })
  return { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
}

describe('an ancestor that may act for others', () => {
  test.each(['region', 'branch', 'office'] as const)('works in its descendant %s', async (name) => {
    const child = family[name]
    const made = await act(family.holding, child.id, {
      method: 'POST',
      path: '/places',
      body: { name: 'Made for it' },
    })
    expect(made.status).toBe(201)
    const own = await gateway.call('GET', `/api/v1/places/${made.body.id}`, { token: child.token })
    expect(own.body).toEqual(made.body)
    const home = await gateway.call('GET', `/api/v1/places/${made.body.id}`, { token: family.holding.token })
    expectProblem(home, { status: 404, code: 'NOT_FOUND' })
  })

  test('may name the descendant by code, and by id in any letter case', async () => {
    for (const name of [family.region.code, family.region.id.toUpperCase()]) {
      expect((await act(family.holding, name)).status).toBe(200)
    }
  })

  test('stays the same principal', async () => {
    const { body } = await act(family.holding, family.branch.id, { path: '/auth/me' })
    expect(body).toMatchObject({
      user: { email: family.holding.admin.email },
      tenant: { id: family.holding.id, code: family.holding.code },
      actingFor: { id: family.branch.id, code: family.branch.code },
    })
  })

  test('sees in GET /tenant the tenant that they act for', async () => {
    const { body } = await act(family.holding, family.region.id, { path: '/tenant' })
    expect(body).toMatchObject({ id: family.region.id, children: [{ id: family.branch.id }] })
    expect(JSON.stringify(body)).not.toMatch(/placement|database|host/)
  })

  test('may name itself, which changes nothing', async () => {
    for (const name of [family.holding.id, family.holding.code]) {
      const { body } = await act(family.holding, name, { path: '/auth/me' })
      expect(body.actingFor).toBeNull()
    }
  })

  test('gets an error for an inactive descendant', async () => {
    const gone = await gateway.createTenant()
    await adopt(gone, family.holding)
    await gateway.operator('PATCH', `/tenants/${gone.id}`, { status: 'INACTIVE' })
    expectProblem(await act(family.holding, gone.id), { status: 404, code: 'TENANT_NOT_FOUND' })
  })

  test('may be a client key', async () => {
    const headers = await keyOf(family.holding, ['accounts:act', 'properties:read'])
    const read = (who: string) =>
      gateway.call('GET', '/api/v1/places', { headers: { ...headers, 'x-account-id': who } })
    expect((await read(family.branch.id)).status).toBe(200)
    expectProblem(await read(family.stranger.id), CROSS)
  })
})

describe('any other caller', () => {
  test.each([
    ['a parent', 'region', 'holding'],
    ['a grandparent', 'branch', 'holding'],
    ['a sibling', 'region', 'office'],
    ['an uncle', 'branch', 'office'],
    ['an unrelated tenant', 'holding', 'stranger'],
  ] as const)('may not act for %s', async (_who, as, whom) => {
    expectProblem(await act(family[as], family[whom].id), CROSS)
  })

  test('may not learn whether a tenant exists', async () => {
    const answers = [
      family.stranger.id,
      family.stranger.code,
      UNKNOWN_ID,
      'no-such-tenant',
      'Ünïcode?',
      '*',
      '',
    ]
    const told = await Promise.all(
      answers.map(async (name) => telling(await act(family.holding, encodeURI(name)))),
    )
    for (const answer of told) expect(answer).toEqual(told[0])
  })

  test('may not act without accounts:act and the permission of the route', async () => {
    const call = async (permissions: string[]) =>
      gateway.call('GET', '/api/v1/places', {
        headers: { ...(await keyOf(family.holding, permissions)), 'x-account-id': family.branch.id },
      })
    expectProblem(await call(['properties:read']), CROSS)
    expectProblem(await call(['accounts:act']), {
      status: 403,
      code: 'PERMISSION_DENIED',
      required: 'properties:read',
    })
  })

  test('may not act as an operator', async () => {
    const { status, body } = await gateway.call('GET', '/api/v1/places', {
      token: stage.operatorToken,
      headers: { 'x-account-id': family.branch.id },
    })
    expect([status, body.code]).toEqual([403, 'PERMISSION_DENIED'])
  })
})

describe('a change of parent', () => {
  test('ends acting at once, on every replica', async () => {
    const child = await gateway.createTenant()
    await adopt(child, family.region)
    const ask = (on: TestGateway) =>
      on.call('GET', '/api/v1/places', { token: family.holding.token, headers: { 'x-account-id': child.id } })
    for (const on of [gateway, replica]) expect((await ask(on)).status).toBe(200)
    expect(await adopt(child, null)).toEqual({ replicas: 2, confirmed: 2 })
    for (const on of [gateway, replica]) expectProblem(await ask(on), CROSS)
  })

  test('of an ancestor ends acting for all its descendants', async () => {
    const [top, middle, leaf] = [
      await gateway.createTenant(),
      await gateway.createTenant(),
      await gateway.createTenant(),
    ]
    await adopt(leaf, middle)
    await adopt(middle, top)
    expect((await act(top, leaf.id)).status).toBe(200)
    await adopt(middle, null)
    expectProblem(await act(top, leaf.id), CROSS)
    expect((await act(middle, leaf.id)).status).toBe(200)
  })

  test('never creates a cycle, even with many concurrent requests', async () => {
    const ring = await Promise.all(Array.from({ length: 6 }, () => gateway.createTenant()))
    const tries = ring.map((tenant, i) =>
      [gateway, replica][i % 2]?.operator('PATCH', `/tenants/${tenant.id}`, {
        parentId: ring[(i + 1) % 6]?.id,
      }),
    )
    const statuses = (await Promise.all(tries)).map((answer) => answer?.status)
    expect(statuses.filter((status) => status === 400)).toHaveLength(1)
    const circles = await query(
      stage.catalogUrl,
      `WITH RECURSIVE up (start, id, depth) AS (
         SELECT id, parent_id, 1 FROM tenants UNION ALL
         SELECT start, t.parent_id, depth + 1 FROM up JOIN tenants t ON t.id = up.id WHERE depth < 20)
       SELECT 1 FROM up WHERE id = start`,
    )
    expect(circles).toEqual([])
  })
})

describe('the audit log of acting', () => {
  test('names principal, tenant and action, and both tenants can read it', async () => {
    await act(family.holding, family.office.id, {
      method: 'POST',
      path: '/client-keys',
      body: { name: 'x', permissions: [] },
    })
    for (const reader of [family.holding, family.office]) {
      const read = async () => {
        const { body } = await gateway.call('GET', '/api/v1/audit-log?limit=200', { token: reader.token })
        return body.data.filter(
          (row: { actedForTenantId: string }) => row.actedForTenantId === family.office.id,
        )
      }
      await expect
        .poll(async () => (await read()).map((row: { action: string }) => row.action))
        .toEqual(expect.arrayContaining(['client-key.create', 'access.act-for']))
      for (const row of await read()) {
        expect(row).toMatchObject({ tenantId: family.holding.id, actor: { type: 'user' } })
      }
    }
  })
})
