import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { AccountTools, PASSWORD } from './account-tools.ts'
import { API, expectProblem, type Homes, openHomes, telling, UNKNOWN_ID } from './support.ts'

let homes: Homes
let tools: AccountTools
beforeAll(async () => {
  homes = await openHomes()
  tools = new AccountTools(homes.gateway)
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

describe('operators', () => {
  test('make accounts, look at them, change and delete them', async () => {
    const email = `Ann.${tools.newEmail()}`
    const roles = ['reader']
    const made = await homes.gateway.operator('POST', '/accounts', {
      ...{ email, password: PASSWORD, name: 'Ann', roles: ['auditor'] },
      memberships: [
        { tenantId: homes.own.id.toUpperCase(), roles },
        { tenantId: homes.shared.id, roles: [] },
      ],
    })
    expect(made.status, made.text).toBe(201)
    const { id } = made.body
    expect(made.headers.get('location')).toBe(`${API}/accounts/${id}`)
    expect(made.body).toEqual({
      ...{ id: expect.any(String), email: email.toLowerCase(), name: 'Ann', status: 'ACTIVE' },
      roles: ['auditor'],
      memberships: expect.arrayContaining([
        { tenantId: homes.own.id, tenantCode: homes.own.code, roles },
        { tenantId: homes.shared.id, tenantCode: homes.shared.code, roles: [] },
      ]),
      ...{ createdAt: expect.any(String), updatedAt: expect.any(String) },
    })
    expect((await homes.gateway.operator('GET', `/accounts/${id}`)).body).toEqual(made.body)
    const patch = { name: null, roles: [], status: 'INACTIVE', email: tools.newEmail() }
    const changed = await homes.gateway.operator('PATCH', `/accounts/${id}`, patch)
    expect(changed.body).toEqual({ ...made.body, ...patch, updatedAt: expect.any(String) })
    expect((await homes.gateway.operator('DELETE', `/accounts/${id}`)).status).toBe(204)
    const gone = { status: 404, code: 'NOT_FOUND' }
    for (const [method, body] of [['GET'], ['PATCH', {}], ['DELETE']] as const) {
      expectProblem(await homes.gateway.operator(method, `/accounts/${id}`, body), gone)
    }
  })

  test('list them page by page, and find them by a part of address or name', async () => {
    const word = `w${Date.now().toString(36)}`
    for (const name of [`${word.toUpperCase()} One`, null, 'Three']) {
      await tools.create([], { name, email: name === 'Three' ? `${word}@x.example` : tools.newEmail() })
    }
    await tools.create([], { name: `${word} Four` })
    const page = (query: string) => homes.gateway.operator('GET', `/accounts?q=${word}&limit=2${query}`)
    const first = (await page('')).body
    const second = (await page(`&cursor=${first.nextCursor}`)).body
    const names = [...first.data, ...second.data].map(({ name }: { name: string }) => name)
    expect(names).toEqual([`${word.toUpperCase()} One`, 'Three', `${word} Four`])
    expect(second.nextCursor).toBeNull()
    expect((await homes.gateway.operator('GET', '/accounts?q=%25%5F%25')).body.data).toEqual([])
  })

  test('never see a password, nor does the log', async () => {
    const secret = 'a secret that nobody may see'
    const { id } = await tools.create([], { password: secret })
    const { text } = await homes.gateway.operator('PATCH', `/accounts/${id}`, { password: `${secret} 2` })
    const audit = await homes.gateway.operator('GET', '/audit-log?action=account.update&limit=5')
    for (const said of [text, audit.text, homes.gateway.log()]) {
      expect(said).not.toContain(secret)
      expect(said).not.toContain('argon2')
    }
    expect(audit.body.data[0]).toMatchObject({
      before: { accountId: id, password: 'old' },
      after: { accountId: id, password: 'new' },
    })
  })

  test('give an address to one account only, whatever its case', async () => {
    const { email } = await tools.create([])
    const conflict = { status: 409, code: 'CONFLICT' }
    const again = { email: email.toUpperCase(), password: PASSWORD }
    expectProblem(await homes.gateway.operator('POST', '/accounts', again), conflict)
    const other = await tools.create([])
    expectProblem(await homes.gateway.operator('PATCH', `/accounts/${other.id}`, { email }), conflict)
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
  ])('cannot make one with %s', async (_case, wrong, pointers) => {
    const body = { email: tools.newEmail(), password: PASSWORD, ...wrong }
    const answer = await homes.gateway.operator('POST', '/accounts', body)
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
  })

  test('cannot make a member of a tenant that does not exist; nothing stays of the try', async () => {
    const email = tools.newEmail()
    const memberships = [homes.shared.id, UNKNOWN_ID].map((tenantId) => ({ tenantId, roles: [] }))
    const answer = await homes.gateway.operator('POST', '/accounts', {
      email,
      password: PASSWORD,
      memberships,
    })
    const pointers = ['/memberships/1/tenantId']
    expectProblem(answer, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers })
    const { id } = await tools.create([], { email })
    const put = (account: string, tenant: string) =>
      homes.gateway.operator('PUT', `/accounts/${account}/memberships/${tenant}`, { roles: [] })
    expectProblem(await put(id, UNKNOWN_ID), { status: 404, code: 'TENANT_NOT_FOUND' })
    expectProblem(await put(UNKNOWN_ID, homes.own.id), { status: 404, code: 'NOT_FOUND' })
    const remove = await homes.gateway.operator('DELETE', `/accounts/${id}/memberships/${homes.own.id}`)
    expectProblem(remove, { status: 404, code: 'NOT_FOUND' })
  })

  test('are told when there is more than a token can carry', async () => {
    const long = (from: number) => Array.from({ length: 40 }, (_, i) => `${from + i}`.padEnd(100, 'x'))
    const { id, email } = await tools.create([{ tenant: homes.shared, roles: long(0) }])
    const path = `/accounts/${id}/memberships/${homes.own.id}`
    const conflict = { status: 409, code: 'CONFLICT' }
    expectProblem(await homes.gateway.operator('PUT', path, { roles: long(0) }), conflict)
    expectProblem(await homes.gateway.operator('PATCH', `/accounts/${id}`, { roles: long(50) }), conflict)
    const { memberships, roles } = (await homes.gateway.operator('GET', `/accounts/${id}`)).body
    expect([memberships.length, roles]).toEqual([1, []])
    // What is accepted can always be carried, to the last byte.
    expect((await homes.gateway.operator('PUT', path, { roles: long(0).slice(0, 12) })).status).toBe(200)
    await tools.login({ email })
  })

  test('with the role viewer read and do not write; tenants do neither', async () => {
    const { id } = await tools.create([])
    const viewer = (await homes.gateway.operator('POST', '/operators', { name: 'v', role: 'viewer' })).body
    const ask = (token: string, method: string, path: string, body?: object) =>
      homes.gateway.call(method, `${API}${path}`, { token, ...(body && { body }) })
    expect((await ask(viewer.token, 'GET', `/accounts/${id}`)).status).toBe(200)
    const path = `/accounts/${id}/memberships/${homes.own.id}`
    const { token } = await tools.member([{ tenant: homes.shared, roles: ['admin'] }])
    for (const [method, body] of [['PUT', { roles: [] }], ['DELETE']] as const) {
      const denied = { status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' }
      expectProblem(await ask(viewer.token, method, path, body), denied)
      for (const tenants of [homes.shared.token, token]) {
        expectProblem(await ask(tenants, method, path, body), { status: 403, code: 'OPERATOR_REQUIRED' })
      }
    }
  })

  test('leave a trace, of which each tenant sees its own part', async () => {
    const { id } = await tools.create([{ tenant: homes.shared, roles: ['reader'] }])
    const path = `/accounts/${id}/memberships/`
    await homes.gateway.operator('PUT', path + homes.own.id, { roles: ['clerk'] })
    await homes.gateway.operator('PUT', path + homes.own.id, { roles: ['reader'] })
    await homes.gateway.operator('DELETE', `/accounts/${id}`)
    const trace = async (tenant: TestTenant) => {
      const { body } = await homes.gateway.call('GET', `${API}/audit-log?limit=50`, { token: tenant.token })
      type Row = {
        action: string
        before: { accountId?: string } | null
        after: { accountId?: string } | null
      }
      const rows = (body.data as Row[]).filter((row) => (row.after ?? row.before)?.accountId === id)
      return rows.map(({ action, before, after }) => ({ action, before, after })).reverse()
    }
    // What was told of people goes with them.
    const said = (...roles: string[]) => ({ accountId: id, email: '[erased]', roles })
    expect(await trace(homes.shared)).toEqual([
      { action: 'membership.set', before: null, after: said('reader') },
      { action: 'membership.remove', before: said('reader'), after: null },
    ])
    expect(await trace(homes.own)).toEqual([
      { action: 'membership.set', before: null, after: said('clerk') },
      { action: 'membership.set', before: said('clerk'), after: said('reader') },
      { action: 'membership.remove', before: said('reader'), after: null },
    ])
    expect(await trace(homes.stranger)).toEqual([])
  })
})

describe('signing in', () => {
  test('gives one token for all tenants of the account, and nothing to refresh it', async () => {
    const memberships = [
      { tenant: homes.shared, roles: ['reader', 'clerk'] },
      { tenant: homes.own, roles: [] },
    ]
    const { id, email } = await tools.create(memberships, { roles: ['nothing'] })
    const { body } = await tools.tryLogin(email.toUpperCase())
    expect(body).toEqual({ accessToken: expect.any(String), tokenType: 'Bearer', expiresIn: 3600 })
    const { iat, exp, jti, ...claims } = claimsOf(body.accessToken)
    expect(claims).toEqual({
      ...{ iss: 'freehold', aud: 'freehold', sub: id, gen: 0, roles: ['nothing'] },
      authorization: {
        [homes.shared.id]: { roles: ['reader', 'clerk'] },
        [homes.own.id]: { roles: [] },
      },
    })
    expect([exp - iat, typeof jti]).toEqual([3600, 'string'])
  })

  test('gives one answer to a wrong password, an unknown account and an inactive one', async () => {
    const { email } = await tools.create([])
    const asleep = await tools.create([])
    await homes.gateway.operator('PATCH', `/accounts/${asleep.id}`, { status: 'INACTIVE' })
    const answers = [
      await tools.tryLogin(email, 'not the password'),
      await tools.tryLogin(tools.newEmail()),
      await tools.tryLogin(asleep.email),
      // A tenant's user is no account.
      await tools.tryLogin(homes.shared.admin.email, homes.shared.admin.password),
    ]
    for (const answer of answers) {
      expectProblem(answer, { status: 401, code: 'INVALID_CREDENTIALS' })
      expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
    }
  })

  test('is locked after ten wrong passwords, for unknown accounts too, and then for the right one', async () => {
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
  ])('takes no body with %s', async (_case, body, pointers) => {
    const answer = await homes.gateway.call('POST', `${API}/auth/accounts/login`, { body })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
  })
})
