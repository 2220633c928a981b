import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { AccountTools, PASSWORD } from './account-tools.ts'
import { API, expectProblem, type Fixture, openFixture, telling, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
let tools: AccountTools
beforeAll(async () => {
  fixture = await openFixture()
  tools = new AccountTools(fixture.gateway)
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

describe('operators', () => {
  test('create, read, change and delete accounts', async () => {
    const email = `Ann.${tools.newEmail()}`
    const roles = ['reader']
    const made = await fixture.gateway.operator('POST', '/accounts', {
      ...{ email, password: PASSWORD, name: 'Ann', roles: ['auditor'] },
      memberships: [
        { tenantId: fixture.dedicated.id.toUpperCase(), roles },
        { tenantId: fixture.shared.id, roles: [] },
      ],
    })
    expect(made.status, made.text).toBe(201)
    const { id } = made.body
    expect(made.headers.get('location')).toBe(`${API}/accounts/${id}`)
    expect(made.body).toEqual({
      ...{ id: expect.any(String), email: email.toLowerCase(), name: 'Ann', status: 'ACTIVE' },
      roles: ['auditor'],
      memberships: expect.arrayContaining([
        { tenantId: fixture.dedicated.id, tenantCode: fixture.dedicated.code, roles },
        { tenantId: fixture.shared.id, tenantCode: fixture.shared.code, roles: [] },
      ]),
      ...{ createdAt: expect.any(String), updatedAt: expect.any(String) },
    })
    expect((await fixture.gateway.operator('GET', `/accounts/${id}`)).body).toEqual(made.body)
    const patch = { name: null, roles: [], status: 'INACTIVE', email: tools.newEmail() }
    const changed = await fixture.gateway.operator('PATCH', `/accounts/${id}`, patch)
    expect(changed.body).toEqual({ ...made.body, ...patch, updatedAt: expect.any(String) })
    expect((await fixture.gateway.operator('DELETE', `/accounts/${id}`)).status).toBe(204)
    const gone = { status: 404, code: 'NOT_FOUND' }
    for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as const) {
      expectProblem(await fixture.gateway.operator(method, `/accounts/${id}`, body), gone)
    }
  })

  test('list accounts page by page, and find them by a part of address or name', async () => {
    const word = `w${Date.now().toString(36)}`
    for (const name of [`${word.toUpperCase()} One`, null, 'Three']) {
      await tools.create([], { name, email: name === 'Three' ? `${word}@x.example` : tools.newEmail() })
    }
    await tools.create([], { name: `${word} Four` })
    const page = (query: string) => fixture.gateway.operator('GET', `/accounts?q=${word}&limit=2${query}`)
    const first = (await page('')).body
    const second = (await page(`&cursor=${first.nextCursor}`)).body
    const names = [...first.data, ...second.data].map(({ name }: { name: string }) => name)
    expect(names).toEqual([`${word.toUpperCase()} One`, 'Three', `${word} Four`])
    expect(second.nextCursor).toBeNull()
    expect((await fixture.gateway.operator('GET', '/accounts?q=%25%5F%25')).body.data).toEqual([])
  })

  test('never see a password, and the log contains none', async () => {
    const secret = 'a secret that nobody may see'
    const { id } = await tools.create([], { password: secret })
    const { text } = await fixture.gateway.operator('PATCH', `/accounts/${id}`, { password: `${secret} 2` })
    const audit = await fixture.gateway.operator('GET', '/audit-log?action=account.update&limit=5')
    for (const said of [text, audit.text, fixture.gateway.log()]) {
      expect(said).not.toContain(secret)
      expect(said).not.toContain('argon2')
    }
    expect(audit.body.data[0]).toMatchObject({
      before: { accountId: id, password: 'old' },
      after: { accountId: id, password: 'new' },
    })
  })

  test('give an address to one account only, in any letter case', async () => {
    const { email } = await tools.create([])
    const conflict = { status: 409, code: 'CONFLICT' }
    const again = { email: email.toUpperCase(), password: PASSWORD }
    expectProblem(await fixture.gateway.operator('POST', '/accounts', again), conflict)
    const other = await tools.create([])
    expectProblem(await fixture.gateway.operator('PATCH', `/accounts/${other.id}`, { email }), conflict)
  })

  test.each<[string, object, string[]]>([
    ['no address', { email: undefined }, ['/email']],
    ['half an address', { email: 'ann@' }, ['/email']],
    ['a short password', { password: 'short' }, ['/password']],
    ['a role without a name', { roles: ['ok', ' '] }, ['/roles/1']],
    ['a role twice', { roles: ['a', 'a'] }, ['/roles']],
    [
      'a tenant that is no id',
      { memberships: [{ tenantId: 'acme', roles: [] }] },
      ['/memberships/0/tenantId'],
    ],
    ['an id of its own', { id: UNKNOWN_ID }, ['/id']],
    [
      'a tenant twice',
      { memberships: [UNKNOWN_ID, UNKNOWN_ID.toUpperCase()].map((tenantId) => ({ tenantId, roles: [] })) },
      ['/memberships/1/tenantId'],
    ],
  ])('cannot create an account with %s', async (_case, wrong, pointers) => {
    const body = { email: tools.newEmail(), password: PASSWORD, ...wrong }
    const answer = await fixture.gateway.operator('POST', '/accounts', body)
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
  })

  test('cannot create a member of an unknown tenant; the attempt leaves nothing behind', async () => {
    const email = tools.newEmail()
    const memberships = [fixture.shared.id, UNKNOWN_ID].map((tenantId) => ({ tenantId, roles: [] }))
    const answer = await fixture.gateway.operator('POST', '/accounts', {
      email,
      password: PASSWORD,
      memberships,
    })
    const pointers = ['/memberships/1/tenantId']
    expectProblem(answer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers })
    const { id } = await tools.create([], { email })
    const put = (account: string, tenant: string) =>
      fixture.gateway.operator('PUT', `/accounts/${account}/memberships/${tenant}`, { roles: [] })
    expectProblem(await put(id, UNKNOWN_ID), { status: 404, code: 'TENANT_NOT_FOUND' })
    expectProblem(await put(UNKNOWN_ID, fixture.dedicated.id), { status: 404, code: 'NOT_FOUND' })
    const remove = await fixture.gateway.operator(
      'DELETE',
      `/accounts/${id}/memberships/${fixture.dedicated.id}`,
    )
    expectProblem(remove, { status: 404, code: 'NOT_FOUND' })
  })

  test('get an error when an account has more roles than a token can carry', async () => {
    const long = (from: number) => Array.from({ length: 40 }, (_, i) => `${from + i}`.padEnd(100, 'x'))
    const { id, email } = await tools.create([{ tenant: fixture.shared, roles: long(0) }])
    const path = `/accounts/${id}/memberships/${fixture.dedicated.id}`
    const conflict = { status: 409, code: 'CONFLICT' }
    expectProblem(await fixture.gateway.operator('PUT', path, { roles: long(0) }), conflict)
    expectProblem(await fixture.gateway.operator('PATCH', `/accounts/${id}`, { roles: long(50) }), conflict)
    const { memberships, roles } = (await fixture.gateway.operator('GET', `/accounts/${id}`)).body
    expect([memberships.length, roles]).toEqual([1, []])
    // The largest accepted account fits into a token, to the last byte.
    expect((await fixture.gateway.operator('PUT', path, { roles: long(0).slice(0, 12) })).status).toBe(200)
    await tools.login({ email })
  })

  test('with the role viewer can read but not write; tenants can do neither', async () => {
    const { id } = await tools.create([])
    const viewer = (await fixture.gateway.operator('POST', '/operators', { name: 'v', role: 'viewer' })).body
    const ask = (token: string, method: string, path: string, body?: object) =>
      fixture.gateway.call(method, `${API}${path}`, { token, ...(body && { body }) })
    expect((await ask(viewer.token, 'GET', `/accounts/${id}`)).status).toBe(200)
    const path = `/accounts/${id}/memberships/${fixture.dedicated.id}`
    const { token } = await tools.member([{ tenant: fixture.shared, roles: ['admin'] }])
    for (const [method, body] of [['PUT', { roles: [] }], ['DELETE']] as const) {
      const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' }
      expectProblem(await ask(viewer.token, method, path, body), denied)
      for (const tenants of [fixture.shared.token, token]) {
        expectProblem(await ask(tenants, method, path, body), { status: 403, code: 'OPERATOR_REQUIRED' })
      }
    }
  })

  test('leave audit entries, and each tenant sees its own', async () => {
    const { id } = await tools.create([{ tenant: fixture.shared, roles: ['reader'] }])
    const path = `/accounts/${id}/memberships/`
    await fixture.gateway.operator('PUT', path + fixture.dedicated.id, { roles: ['clerk'] })
    await fixture.gateway.operator('PUT', path + fixture.dedicated.id, { roles: ['reader'] })
    await fixture.gateway.operator('DELETE', `/accounts/${id}`)
    const trace = async (tenant: TestTenant) => {
      const { body } = await fixture.gateway.call('GET', `${API}/audit-log?limit=50`, { token: tenant.token })
      type Row = {
        action: string
        before: { accountId?: string } | null
        after: { accountId?: string } | null
      }
      const rows = (body.data as Row[]).filter((row) => (row.after ?? row.before)?.accountId === id)
      return rows.map(({ action, before, after }) => ({ action, before, after })).reverse()
    }
    // The personal data is deleted with the account.
    const said = (...roles: string[]) => ({ accountId: id, email: '[erased]', roles })
    expect(await trace(fixture.shared)).toEqual([
      { action: 'membership.set', before: null, after: said('reader') },
      { action: 'membership.remove', before: said('reader'), after: null },
    ])
    expect(await trace(fixture.dedicated)).toEqual([
      { action: 'membership.set', before: null, after: said('clerk') },
      { action: 'membership.set', before: said('clerk'), after: said('reader') },
      { action: 'membership.remove', before: said('reader'), after: null },
    ])
    expect(await trace(fixture.other)).toEqual([])
  })
})

describe('signing in', () => {
  test('gives one token for all tenants of the account, and no refresh token', async () => {
    const memberships = [
      { tenant: fixture.shared, roles: ['reader', 'clerk'] },
      { tenant: fixture.dedicated, roles: [] },
    ]
    const { id, email } = await tools.create(memberships, { roles: ['nothing'] })
    const { body } = await tools.tryLogin(email.toUpperCase())
    expect(body).toEqual({ accessToken: expect.any(String), tokenType: 'Bearer', expiresIn: 3600 })
    const { iat, exp, jti, ...claims } = claimsOf(body.accessToken)
    expect(claims).toEqual({
      ...{ iss: 'freehold', aud: 'freehold', sub: id, gen: 0, roles: ['nothing'] },
      authorization: {
        [fixture.shared.id]: { roles: ['reader', 'clerk'] },
        [fixture.dedicated.id]: { roles: [] },
      },
    })
    expect([exp - iat, typeof jti]).toEqual([3600, 'string'])
  })

  test('gives the same answer to a wrong password, an unknown account and an inactive one', async () => {
    const { email } = await tools.create([])
    const asleep = await tools.create([])
    await fixture.gateway.operator('PATCH', `/accounts/${asleep.id}`, { status: 'INACTIVE' })
    const answers = [
      await tools.tryLogin(email, 'not the password'),
      await tools.tryLogin(tools.newEmail()),
      await tools.tryLogin(asleep.email),
      // A user of a tenant is not an account.
      await tools.tryLogin(fixture.shared.admin.email, fixture.shared.admin.password),
    ]
    for (const answer of answers) {
      expectProblem(answer, { status: 401, code: 'INVALID_CREDENTIALS' })
      expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
    }
  })

  test('is locked after ten wrong passwords, also for unknown accounts and for the right password', async () => {
    const { email } = await tools.create([])
    for (const name of [email, tools.newEmail()]) {
      const wrong = await Promise.all(
        Array.from({ length: 12 }, () => tools.tryLogin(name, 'not the password')),
      )
      const codes = wrong.map(({ body }) => body.code).sort()
      expect(codes).toEqual([
        ...Array.from({ length: 2 }, () => 'ACCOUNT_LOCKED'),
        ...Array.from({ length: 10 }, () => 'INVALID_CREDENTIALS'),
      ])
      expectProblem(await tools.tryLogin(name.toUpperCase()), { status: 403, code: 'ACCOUNT_LOCKED' })
    }
  })

  test.each<[string, object, string[]]>([
    ['no password', { email: 'a@b.example' }, ['/password']],
    ['a tenant', { email: 'a@b.example', password: 'x', tenantCode: 'acme' }, ['/tenantCode']],
    ['a password beyond measure', { email: 'a@b.example', password: 'é'.repeat(1000) }, ['/password']],
  ])('refuses a body with %s', async (_case, body, pointers) => {
    const answer = await fixture.gateway.call('POST', `${API}/auth/accounts/login`, { body })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
  })
})
