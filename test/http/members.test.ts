import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { AccountTools, type TestAccount } from './account-tools.ts'
import { API, expectProblem, type Homes, openHomes, telling } from './support.ts'

const STRANGER = { status: 403, code: 'CROSS_TENANT_ACCESS' }
const VOID = { status: 401, code: 'TOKEN_INVALID' }
const HOMES = ['shared', 'own'] as const

let homes: Homes
let replica: TestGateway
let tools: AccountTools
beforeAll(async () => {
  homes = await openHomes()
  replica = await startGateway(homes.stage)
  tools = new AccountTools(homes.gateway)
  for (const tenant of [homes.shared, homes.own, homes.stranger]) {
    await tools.defineRole(tenant, { name: 'reader', permissions: ['properties:read'] })
    await tools.defineRole(tenant, { name: 'nothing', permissions: [] })
  }
  // One name, and in each tenant another meaning.
  await tools.defineRole(homes.shared, { name: 'clerk', permissions: ['properties:*'] })
  await tools.defineRole(homes.own, { name: 'clerk', permissions: ['leases:read'] })
})
afterAll(async () => {
  await replica?.close()
  await homes?.gateway.close()
  await dropAll()
})

describe.each(HOMES)('in a tenant with a %s database, a member', (home) => {
  const here = () => homes[home]
  const there = () => homes[home === 'shared' ? 'own' : 'shared']

  test('does what the roles permit there, and no more', async () => {
    const { token } = await tools.member([{ tenant: here(), roles: ['reader'] }])
    expect((await tools.call(token, null)).status).toBe(200)
    const denied = await tools.call(token, null, { method: 'POST', body: { name: 'Mill' } })
    expectProblem(denied, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:write' })
  })

  test('writes into the tenant that is picked, and into no other', async () => {
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

  test('holds nothing by a role that the tenant does not define', async () => {
    const { token } = await tools.member([{ tenant: here(), roles: ['emperor', '*', 'properties:read'] }])
    const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' }
    expectProblem(await tools.call(token, null), denied)
    const { body } = await tools.call(token, null, { path: '/auth/me' })
    expect(body).toMatchObject({ roles: [], permissions: [] })
  })

  test('is described to themselves', async () => {
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

  test('follows what becomes of the role there, on every replica', async () => {
    const id = await tools.defineRole(here(), { name: 'guest', permissions: [] })
    const { token } = await tools.member([{ tenant: here(), roles: ['guest'] }])
    const answers = () =>
      Promise.all([homes.gateway, replica].map((one) => one.call('GET', `${API}/places`, { token })))
    const statuses = async () => (await answers()).map(({ status }) => status)
    expect(await statuses()).toEqual([403, 403])
    for (const [permissions, status] of [
      [['properties:read'], 200],
      [[], 403],
    ] as const) {
      const patch = { token: here().token, body: { permissions } }
      expect((await homes.gateway.call('PATCH', `${API}/roles/${id}`, patch)).status).toBe(200)
      await expect.poll(statuses, { timeout: 5_000, interval: 20 }).toEqual([status, status])
    }
  })
})

describe('which tenant an account works in', () => {
  test('is the only one it has; X-Tenant-Code may confirm it', async () => {
    const { token } = await tools.member([{ tenant: homes.own, roles: ['reader'] }])
    for (const code of [null, homes.own.code]) {
      expect((await tools.call(token, code, { path: '/tenant' })).body.code).toBe(homes.own.code)
    }
  })

  test('must be picked where there are several, and the role is what it means there', async () => {
    const { token } = await tools.member([
      { tenant: homes.shared, roles: ['clerk'] },
      { tenant: homes.own, roles: ['clerk'] },
    ])
    expectProblem(await tools.call(token, null), { status: 400, code: 'TENANT_AMBIGUOUS' })
    expect((await tools.call(token, homes.shared.code)).status).toBe(200)
    const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' }
    expectProblem(await tools.call(token, homes.own.code), denied)
  })

  test("is never a stranger's, and who asks for one learns nothing", async () => {
    const one = await tools.member([{ tenant: homes.shared, roles: ['admin'] }], { roles: ['admin'] })
    const two = await tools.member(
      [homes.shared, homes.own].map((tenant) => ({ tenant, roles: ['admin'] })),
      { roles: ['admin'] },
    )
    const asleep = await homes.gateway.createTenant()
    await homes.gateway.operator('PATCH', `/tenants/${asleep.id}`, { status: 'INACTIVE' })
    for (const { token } of [one, two]) {
      const codes = [homes.stranger.code, asleep.code, 'nobody-here', homes.stranger.id, 'x y', '']
      const answers = await Promise.all(codes.map((code) => tools.call(token, code)))
      for (const answer of answers) {
        expectProblem(answer, STRANGER)
        expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
      }
    }
  })

  test('is written down where it is refused, and so are logins, right or wrong', async () => {
    const account = await tools.member([{ tenant: homes.shared, roles: [] }])
    expectProblem(await tools.call(account.token, homes.stranger.code), STRANGER)
    expectProblem(await tools.tryLogin(account.email, 'not the password'), {
      status: 401,
      code: 'INVALID_CREDENTIALS',
    })
    const trace = async () => {
      const { body } = await homes.gateway.operator('GET', `/audit-log?actor=${account.id}`)
      type Row = { action: string; actor: { type: string }; tenantId: string | null; after: object | null }
      return (body.data as Row[]).map(({ action, actor, tenantId, after }) => [
        ...[action, actor.type, tenantId],
        after,
      ])
    }
    const refused = { code: 'CROSS_TENANT_ACCESS', method: 'GET', path: `${API}/places` }
    await expect
      .poll(async () => (await trace()).sort(), { timeout: 5_000 })
      .toEqual([
        ['access.refused', 'account', null, refused],
        ['account.login', 'account', null, null],
        ['account.login-failed', 'account', null, { code: 'INVALID_CREDENTIALS' }],
      ])
  })

  test('is none for an account without memberships, whatever its roles', async () => {
    const { token } = await tools.member([], { roles: ['admin', 'reader'] })
    for (const code of [null, homes.shared.code, 'nobody-here']) {
      expectProblem(await tools.call(token, code), STRANGER)
    }
  })

  test('is answered as if it were not there while it is inactive', async () => {
    const tenant = await homes.gateway.createTenant()
    const { token } = await tools.member([{ tenant, roles: ['admin'] }])
    expect((await tools.call(token, null)).status).toBe(200)
    await homes.gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'INACTIVE' })
    for (const code of [null, tenant.code]) {
      expectProblem(await tools.call(token, code), { status: 404, code: 'TENANT_NOT_FOUND' })
    }
  })

  test('sees application-wide roles in each of its tenants, and in no other', async () => {
    const memberships = [homes.shared, homes.own].map((tenant) => ({ tenant, roles: [] }))
    const { token } = await tools.member(memberships, { roles: ['reader'] })
    expect((await tools.call(token, homes.shared.code)).status).toBe(200)
    expect((await tools.call(token, homes.own.code)).status).toBe(200)
    expectProblem(await tools.call(token, homes.stranger.code), STRANGER)
  })
})

describe('what is taken away ends at once, on every replica, also after a restart', () => {
  const patch = (body: object) => (account: TestAccount) =>
    homes.gateway.operator('PATCH', `/accounts/${account.id}`, body)
  const membership = (account: TestAccount) => `/accounts/${account.id}/memberships/${homes.own.id}`

  const losses: [string, (account: TestAccount) => Promise<{ status: number }>][] = [
    ['a tenant', (account) => homes.gateway.operator('DELETE', membership(account))],
    ['a role', (account) => homes.gateway.operator('PUT', membership(account), { roles: ['clerk'] })],
    ['an application-wide role', patch({ roles: [] })],
    ['the password', patch({ password: 'another long password' })],
    ['being active', patch({ status: 'INACTIVE' })],
    ['the account itself', (account) => homes.gateway.operator('DELETE', `/accounts/${account.id}`)],
  ]

  test.each(losses)('%s', async (_what, takeAway) => {
    const memberships = [homes.shared, homes.own].map((tenant) => ({ tenant, roles: ['reader', 'clerk'] }))
    const account = await tools.member(memberships, { roles: ['reader'] })
    const ask = (gateway: TestGateway) => {
      const headers = { 'x-tenant-code': homes.shared.code }
      return gateway.call('GET', `${API}/places`, { token: account.token, headers })
    }
    for (const gateway of [homes.gateway, replica]) expect((await ask(gateway)).status).toBe(200)
    expect((await takeAway(account)).status).toBeLessThan(300)
    expectProblem(await ask(homes.gateway), VOID)
    await expect.poll(async () => (await ask(replica)).body.code, { timeout: 5_000 }).toBe('TOKEN_INVALID')
    const restarted = await startGateway(homes.stage)
    try {
      expectProblem(await ask(restarted), VOID)
    } finally {
      await restarted.close()
    }
  })

  test('and who signs in again has what is left', async () => {
    const memberships = [homes.shared, homes.own].map((tenant) => ({ tenant, roles: ['reader'] }))
    const account = await tools.member(memberships)
    await homes.gateway.operator('DELETE', membership(account))
    const token = await tools.login(account)
    expect((await tools.call(token, null, { path: '/tenant' })).body.code).toBe(homes.shared.code)
    expectProblem(await tools.call(token, homes.own.code), STRANGER)
  })

  test('but what is given, or given again, ends no token', async () => {
    const account = await tools.member([{ tenant: homes.own, roles: ['reader'] }])
    const put = (tenant: TestTenant, roles: string[]) =>
      homes.gateway.operator('PUT', `/accounts/${account.id}/memberships/${tenant.id}`, { roles })
    const given = await put(homes.shared, ['reader'])
    expect(given.body).toEqual({
      tenantId: homes.shared.id,
      tenantCode: homes.shared.code,
      roles: ['reader'],
    })
    expect((await put(homes.own, ['reader', 'clerk'])).status).toBe(200)
    expect((await patch({ name: 'Ann', roles: ['nothing'], status: 'ACTIVE' })(account)).status).toBe(200)
    expect((await tools.call(account.token, null)).status).toBe(200)
    // What was given counts from the next token on.
    expectProblem(await tools.call(account.token, homes.shared.code), STRANGER)
    expect((await tools.call(await tools.login(account), homes.shared.code)).status).toBe(200)
  })
})
