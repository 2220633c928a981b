import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { AccountTools, type TestAccount } from './account-tools.ts'
import { API, expectProblem, type Fixture, openFixture, telling } from './support.ts'

const CROSS_TENANT = { status: 403, code: 'CROSS_TENANT_ACCESS' }
const VOID = { status: 401, code: 'TOKEN_INVALID' }
const PLACEMENTS = ['shared', 'dedicated'] as const

let fixture: Fixture
let replica: TestGateway
let tools: AccountTools
beforeAll(async () => {
  fixture = await openFixture()
  replica = await startGateway(fixture.stage)
  tools = new AccountTools(fixture.gateway)
  for (const tenant of [fixture.shared, fixture.dedicated, fixture.other]) {
    await tools.defineRole(tenant, { name: 'reader', permissions: ['properties:read'] })
    await tools.defineRole(tenant, { name: 'nothing', permissions: [] })
  }
  // One name of a role that has another meaning in each tenant.
  await tools.defineRole(fixture.shared, { name: 'clerk', permissions: ['properties:*'] })
  await tools.defineRole(fixture.dedicated, { name: 'clerk', permissions: ['leases:read'] })
})
afterAll(async () => {
  await replica?.close()
  await fixture?.gateway.close()
  await dropAll()
})

describe.each(PLACEMENTS)('in a tenant with a %s database, a member', (placement) => {
  const here = () => fixture[placement]
  const there = () => fixture[placement === 'shared' ? 'dedicated' : 'shared']

  test('may do what the roles permit there, and no more', async () => {
    const { token } = await tools.member([{ tenant: here(), roles: ['reader'] }])
    expect((await tools.call(token, null)).status).toBe(200)
    const denied = await tools.call(token, null, { method: 'POST', body: { name: 'Mill' } })
    expectProblem(denied, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:write' })
  })

  test('writes into the selected tenant only', async () => {
    const roles = ['admin']
    const { token } = await tools.member([
      { tenant: here(), roles },
      { tenant: there(), roles },
    ])
    const name = `of ${here().code}`
    const posted = await tools.call(token, here().code, { method: 'POST', body: { name } })
    expect(posted.status, posted.text).toBe(201)
    const path = `/places/${posted.body.id}`
    expect((await tools.call(token, here().code, { path })).body.name).toBe(name)
    expectProblem(await tools.call(token, there().code, { path }), { status: 404, code: 'NOT_FOUND' })
  })

  test('has no permission from a role that the tenant does not define', async () => {
    const { token } = await tools.member([{ tenant: here(), roles: ['emperor', '*', 'properties:read'] }])
    const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' }
    expectProblem(await tools.call(token, null), denied)
    const { body } = await tools.call(token, null, { path: '/auth/me' })
    expect(body).toMatchObject({ roles: [], permissions: [] })
  })

  test('can read their own identity', async () => {
    const memberships = [{ tenant: here(), roles: ['reader', 'emperor'] }]
    const { id, email, token } = await tools.member(memberships, { name: 'Ann', roles: ['nothing'] })
    expect((await tools.call(token, null, { path: '/auth/me' })).body).toEqual({
      user: null,
      account: { id, email, name: 'Ann' },
      tenant: { id: here().id, code: here().code, name: expect.any(String) },
      roles: ['reader', 'nothing'],
      permissions: ['properties:read'],
      actingFor: null,
    })
    expect((await tools.call(token, null, { path: '/tenant' })).body.code).toBe(here().code)
  })

  test('follows changes of the role there, on every replica', async () => {
    const id = await tools.defineRole(here(), { name: 'guest', permissions: [] })
    const { token } = await tools.member([{ tenant: here(), roles: ['guest'] }])
    const answers = () =>
      Promise.all([fixture.gateway, replica].map((one) => one.call('GET', `${API}/places`, { token })))
    const statuses = async () => (await answers()).map(({ status }) => status)
    expect(await statuses()).toEqual([403, 403])
    for (const [permissions, status] of [
      [['properties:read'], 200],
      [[], 403],
    ] as const) {
      const patch = { token: here().token, body: { permissions } }
      expect((await fixture.gateway.call('PATCH', `${API}/roles/${id}`, patch)).status).toBe(200)
      await expect.poll(statuses, { timeout: 60_000, interval: 20 }).toEqual([status, status])
    }
  })
})

describe('which tenant an account works in', () => {
  test('is its only tenant; X-Tenant-Code may confirm it', async () => {
    const { token } = await tools.member([{ tenant: fixture.dedicated, roles: ['reader'] }])
    for (const code of [null, fixture.dedicated.code]) {
      expect((await tools.call(token, code, { path: '/tenant' })).body.code).toBe(fixture.dedicated.code)
    }
  })

  test('must be selected where there are several, and the role has its meaning in that tenant', async () => {
    const { token } = await tools.member([
      { tenant: fixture.shared, roles: ['clerk'] },
      { tenant: fixture.dedicated, roles: ['clerk'] },
    ])
    expectProblem(await tools.call(token, null), { status: 400, code: 'TENANT_AMBIGUOUS' })
    expect((await tools.call(token, fixture.shared.code)).status).toBe(200)
    const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' }
    expectProblem(await tools.call(token, fixture.dedicated.code), denied)
  })

  test('is never a tenant without a membership, and the answer does not reveal whether that tenant exists', async () => {
    const one = await tools.member([{ tenant: fixture.shared, roles: ['admin'] }], { roles: ['admin'] })
    const two = await tools.member(
      [fixture.shared, fixture.dedicated].map((tenant) => ({ tenant, roles: ['admin'] })),
      { roles: ['admin'] },
    )
    const asleep = await fixture.gateway.createTenant()
    await fixture.gateway.operator('PATCH', `/tenants/${asleep.id}`, { status: 'INACTIVE' })
    for (const { token } of [one, two]) {
      const codes = [fixture.other.code, asleep.code, 'nobody-here', fixture.other.id, 'x y', '']
      const answers = await Promise.all(codes.map((code) => tools.call(token, code)))
      for (const answer of answers) {
        expectProblem(answer, CROSS_TENANT)
        expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
      }
    }
  })

  test('is logged for audit when it is refused, as are right and wrong logins', async () => {
    const account = await tools.member([{ tenant: fixture.shared, roles: [] }])
    expectProblem(await tools.call(account.token, fixture.other.code), CROSS_TENANT)
    expectProblem(await tools.tryLogin(account.email, 'not the password'), {
      status: 401,
      code: 'INVALID_CREDENTIALS',
    })
    const trace = async () => {
      const { body } = await fixture.gateway.operator('GET', `/audit-log?actor=${account.id}`)
      type Row = { action: string; actor: { type: string }; tenantId: string | null; after: object | null }
      return (body.data as Row[]).map(({ action, actor, tenantId, after }) => [
        ...[action, actor.type, tenantId],
        after,
      ])
    }
    const refused = { code: 'CROSS_TENANT_ACCESS', method: 'GET', path: `${API}/places` }
    await expect
      .poll(async () => (await trace()).sort())
      .toEqual([
        ['access.refused', 'account', null, refused],
        ['account.login', 'account', null, null],
        ['account.login-failed', 'account', null, { code: 'INVALID_CREDENTIALS' }],
      ])
  })

  test('is none for an account without memberships, even if it has roles', async () => {
    const { token } = await tools.member([], { roles: ['admin', 'reader'] })
    for (const code of [null, fixture.shared.code, 'nobody-here']) {
      expectProblem(await tools.call(token, code), CROSS_TENANT)
    }
  })

  test('is answered like an unknown one while it is inactive', async () => {
    const tenant = await fixture.gateway.createTenant()
    const { token } = await tools.member([{ tenant, roles: ['admin'] }])
    expect((await tools.call(token, null)).status).toBe(200)
    await fixture.gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'INACTIVE' })
    for (const code of [null, tenant.code]) {
      expectProblem(await tools.call(token, code), { status: 404, code: 'TENANT_NOT_FOUND' })
    }
  })

  test('applies application-wide roles in each of its tenants, and in no other', async () => {
    const memberships = [fixture.shared, fixture.dedicated].map((tenant) => ({ tenant, roles: [] }))
    const { token } = await tools.member(memberships, { roles: ['reader'] })
    expect((await tools.call(token, fixture.shared.code)).status).toBe(200)
    expect((await tools.call(token, fixture.dedicated.code)).status).toBe(200)
    expectProblem(await tools.call(token, fixture.other.code), CROSS_TENANT)
  })
})

describe('a revocation applies at once, on every replica, also after a restart', () => {
  const patch = (body: object) => (account: TestAccount) =>
    fixture.gateway.operator('PATCH', `/accounts/${account.id}`, body)
  const membership = (account: TestAccount) => `/accounts/${account.id}/memberships/${fixture.dedicated.id}`

  const losses: [string, (account: TestAccount) => Promise<{ status: number }>][] = [
    ['a tenant', (account) => fixture.gateway.operator('DELETE', membership(account))],
    ['a role', (account) => fixture.gateway.operator('PUT', membership(account), { roles: ['clerk'] })],
    ['an application-wide role', patch({ roles: [] })],
    ['the password', patch({ password: 'another long password' })],
    ['being active', patch({ status: 'INACTIVE' })],
    ['the account itself', (account) => fixture.gateway.operator('DELETE', `/accounts/${account.id}`)],
  ]

  test.each(losses)('%s', async (_what, takeAway) => {
    const memberships = [fixture.shared, fixture.dedicated].map((tenant) => ({
      tenant,
      roles: ['reader', 'clerk'],
    }))
    const account = await tools.member(memberships, { roles: ['reader'] })
    const ask = (gateway: TestGateway) => {
      const headers = { 'x-tenant-code': fixture.shared.code }
      return gateway.call('GET', `${API}/places`, { token: account.token, headers })
    }
    for (const gateway of [fixture.gateway, replica]) expect((await ask(gateway)).status).toBe(200)
    expect((await takeAway(account)).status).toBeLessThan(300)
    expectProblem(await ask(fixture.gateway), VOID)
    await expect.poll(async () => (await ask(replica)).body.code).toBe('TOKEN_INVALID')
    const restarted = await startGateway(fixture.stage)
    try {
      expectProblem(await ask(restarted), VOID)
    } finally {
      await restarted.close()
    }
  })

  test('and a new login has the remaining permissions', async () => {
    const memberships = [fixture.shared, fixture.dedicated].map((tenant) => ({ tenant, roles: ['reader'] }))
    const account = await tools.member(memberships)
    await fixture.gateway.operator('DELETE', membership(account))
    const token = await tools.login(account)
    expect((await tools.call(token, null, { path: '/tenant' })).body.code).toBe(fixture.shared.code)
    expectProblem(await tools.call(token, fixture.dedicated.code), CROSS_TENANT)
  })

  test('but a grant, or a repeated grant, ends no token', async () => {
    const account = await tools.member([{ tenant: fixture.dedicated, roles: ['reader'] }])
    const put = (tenant: TestTenant, roles: string[]) =>
      fixture.gateway.operator('PUT', `/accounts/${account.id}/memberships/${tenant.id}`, { roles })
    const given = await put(fixture.shared, ['reader'])
    expect(given.body).toEqual({
      tenantId: fixture.shared.id,
      tenantCode: fixture.shared.code,
      roles: ['reader'],
    })
    expect((await put(fixture.dedicated, ['reader', 'clerk'])).status).toBe(200)
    expect((await patch({ name: 'Ann', roles: ['nothing'], status: 'ACTIVE' })(account)).status).toBe(200)
    expect((await tools.call(account.token, null)).status).toBe(200)
    // A grant applies to later tokens.
    expectProblem(await tools.call(account.token, fixture.shared.code), CROSS_TENANT)
    expect((await tools.call(await tools.login(account), fixture.shared.code)).status).toBe(200)
  })
})
