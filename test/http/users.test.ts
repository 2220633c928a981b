import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { addPerson, addRole, as, fresh, PASSWORD, type Person, signIn } from './people.ts'
import {
  API,
  expectProblem,
  type Homes,
  moveToOwnDatabase,
  openHomes,
  telling,
  UNKNOWN_ID,
} from './support.ts'

const GONE = { status: 404, code: 'NOT_FOUND' }
const WRONG = { status: 401, code: 'INVALID_CREDENTIALS' }
const VOID = { status: 401, code: 'TOKEN_INVALID' }
const CONFLICT = { status: 409, code: 'CONFLICT' }
const HOMES = ['shared', 'own'] as const
const UNLIMITED = { LOGIN_RATE_LIMIT_PER_MINUTE: '100000' }

let homes: Homes
let gateway: TestGateway
let replica: TestGateway
beforeAll(async () => {
  homes = await openHomes(UNLIMITED)
  gateway = homes.gateway
  replica = await startGateway(homes.stage, UNLIMITED)
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await dropAll()
})

/** The same collection as the tenant's administrator and an operator reach it. */
function sides(tenant: TestTenant) {
  const operator = (method: string, path: string, body?: unknown) =>
    gateway.operator(method, `/tenants/${tenant.id}${path}`, body)
  return { tenant: as(gateway, tenant.token), operator }
}

const me = (token: string, from = gateway) => from.call('GET', `${API}/auth/me`, { token })
const refresh = (refreshToken: string) =>
  gateway.call('POST', `${API}/auth/refresh`, { body: { refreshToken } })
const logIn = (tenant: TestTenant, { email, password }: Omit<Person, 'id'>) =>
  gateway.call('POST', `${API}/auth/login`, { body: { tenantCode: tenant.code, email, password } })

describe.each(HOMES)('people of a tenant in a database that is %s', (home) => {
  describe.each(['tenant', 'operator'] as const)('through the paths of the %s', (side) => {
    const call = (method: string, path: string, body?: unknown) =>
      sides(homes[home])[side](method, path, body)
    const add = async (more: object = {}) => {
      const email = `${fresh('ann')}@Example.com`
      const answer = await call('POST', '/users', { email, password: PASSWORD, ...more })
      expect(answer.status, answer.text).toBe(201)
      return answer
    }

    test('are made, found, listed, changed and deleted', async () => {
      const username = fresh('Ann')
      const taxNumber = fresh('DE')
      const { body: made, headers } = await add({ username, name: 'Ann', taxNumber, roles: ['admin'] })
      expect(made).toEqual({
        ...{ id: expect.any(String), email: expect.stringMatching(/@example\.com$/), username, name: 'Ann' },
        ...{ taxNumber, status: 'ACTIVE', roles: ['admin'] },
        ...{ createdAt: expect.stringMatching(/Z$/), updatedAt: expect.stringMatching(/Z$/) },
      })
      const location = new URL(headers.get('location') ?? '', gateway.url).pathname
      expect(location).toMatch(new RegExp(`/users/${made.id}$`))
      expect((await call('GET', `/users/${made.id}`)).body).toEqual(made)
      const { body: page } = await call('GET', '/users?limit=200')
      expect(page.data).toContainEqual(made)

      const patch = {
        email: `${fresh('B')}@example.com`,
        username: null,
        name: null,
        taxNumber: null,
        roles: [],
      }
      const changed = await call('PATCH', `/users/${made.id}`, patch)
      expect(changed.status).toBe(200)
      expect(changed.body).toEqual({
        ...{ ...made, ...patch, email: patch.email.toLowerCase() },
        updatedAt: changed.body.updatedAt,
      })
      expect(changed.body.updatedAt > made.updatedAt).toBe(true)
      expect((await call('PATCH', `/users/${made.id}`, {})).body).toMatchObject({ roles: [] })

      expect((await call('DELETE', `/users/${made.id}`)).status).toBe(204)
      for (const method of ['GET', 'DELETE']) expectProblem(await call(method, `/users/${made.id}`), GONE)
      expectProblem(await call('PATCH', `/users/${made.id}`, { name: 'x' }), GONE)
    })

    test.each([
      ['email', () => `${fresh('x')}@example.com`, (said: string) => said.toUpperCase()],
      ['username', () => fresh('user'), (said: string) => said.toUpperCase()],
      ['taxNumber', () => fresh('DE 1'), (said: string) => said],
    ])('have a %s that no other user of the tenant has', async (field, make, spell) => {
      const taken = make()
      const { body: first } = await add({ [field]: taken })
      const { body: second } = await add()
      const again = { email: `${fresh('y')}@example.com`, password: PASSWORD, [field]: spell(taken) }
      for (const answer of [
        await call('POST', '/users', again),
        await call('PATCH', `/users/${second.id}`, { [field]: spell(taken) }),
      ])
        expectProblem(answer, { ...CONFLICT, pointers: [`/${field}`] })
      // Their own they may keep, and a neighbour may have the same.
      expect((await call('PATCH', `/users/${first.id}`, { [field]: spell(taken) })).status).toBe(200)
      const theirs = await sides(homes.stranger).operator('POST', '/users', again)
      expect(theirs.status, theirs.text).toBe(201)
    })

    test.each([
      [{ email: 'nobody' }, ['/email']],
      [{ email: null }, ['/email']],
      [{ username: '-x' }, ['/username']],
      [{ name: 'a\nb' }, ['/name']],
      [{ taxNumber: '' }, ['/taxNumber']],
      [{ taxNumber: ' 12' }, ['/taxNumber']],
      [{ taxNumber: '1\u00002' }, ['/taxNumber']],
      [{ status: 'GONE' }, ['/status']],
      [{ roles: 'admin' }, ['/roles']],
      [{ password: 'short' }, ['/password']],
      [{ passwordHash: 'x' }, ['/passwordHash']],
      [{ tenantId: UNKNOWN_ID }, ['/tenantId']],
      [{ email: 'nobody', username: '-x', password: 'short' }, ['/email', '/username', '/password']],
    ])('are not changed to %j', async (patch, pointers) => {
      const { body } = await add()
      const answer = await call('PATCH', `/users/${body.id}`, patch)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
      expect((await call('GET', `/users/${body.id}`)).body).toEqual(body)
    })

    test('get no role that is not there', async () => {
      const { body } = await add()
      const missing = { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/roles/1'] }
      expectProblem(await call('PATCH', `/users/${body.id}`, { roles: ['admin', 'emperor'] }), missing)
      expect((await call('GET', `/users/${body.id}`)).body.roles).toEqual([])
    })

    test('of another tenant are like those that do not exist', async () => {
      const { id } = await addPerson(gateway, homes.stranger)
      for (const [method, body] of [['GET'], ['PATCH', { name: 'mine' }], ['DELETE']] as const) {
        const [theirs, nobodys] = [
          await call(method, `/users/${id}`, body),
          await call(method, `/users/${UNKNOWN_ID}`, body),
        ]
        expectProblem(theirs, GONE)
        expect(telling(theirs)).toEqual(telling(nobodys))
      }
      expect((await call('GET', '/users?limit=200')).text).not.toContain(id)
    })

    test('who are deactivated are out at once, everywhere, and come back by logging in', async () => {
      const person = await addPerson(gateway, homes[home])
      const pair = await signIn(gateway, homes[home], person)
      for (const from of [gateway, replica]) expect((await me(pair.accessToken, from)).status).toBe(200)
      const off = await call('PATCH', `/users/${person.id}`, { status: 'INACTIVE' })
      expect(off.body).toMatchObject({ id: person.id, status: 'INACTIVE' })
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expectProblem(await logIn(homes[home], person), WRONG)
      await expect.poll(async () => (await me(pair.accessToken, replica)).status).toBe(401)
      expect((await call('PATCH', `/users/${person.id}`, { status: 'ACTIVE' })).body.status).toBe('ACTIVE')
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expect((await me((await signIn(gateway, homes[home], person)).accessToken)).status).toBe(200)
    })

    test('who get another password have no session left, and are not locked out', async () => {
      const person = await addPerson(gateway, homes[home])
      const pair = await signIn(gateway, homes[home], person)
      for (let n = 0; n < 10; n++) await logIn(homes[home], { ...person, password: 'wrong' })
      expectProblem(await logIn(homes[home], person), { status: 403, code: 'ACCOUNT_LOCKED' })
      const password = 'another long password'
      expect((await call('PATCH', `/users/${person.id}`, { password })).status).toBe(200)
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expectProblem(await logIn(homes[home], person), WRONG)
      await signIn(gateway, homes[home], { ...person, password })
    })

    test('who get other roles hold no token that says what they were, and keep their session', async () => {
      const role = await addRole(gateway, homes[home], ['properties:read'])
      const person = await addPerson(gateway, homes[home], { roles: [role.name] })
      const pair = await signIn(gateway, homes[home], person)
      expect((await me(pair.accessToken)).body.permissions).toEqual(['properties:read'])
      expect((await call('PATCH', `/users/${person.id}`, { roles: [] })).body.roles).toEqual([])
      expectProblem(await me(pair.accessToken), VOID)
      const { body: next } = await refresh(pair.refreshToken)
      expect((await me(next.accessToken)).body).toMatchObject({ roles: [], permissions: [] })
    })

    test('who are deleted are gone with everything they held', async () => {
      const person = await addPerson(gateway, homes[home], { roles: ['admin'] })
      const pair = await signIn(gateway, homes[home], person)
      expect((await call('DELETE', `/users/${person.id}`)).status).toBe(204)
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expectProblem(await logIn(homes[home], person), WRONG)
      await expect.poll(async () => (await me(pair.accessToken, replica)).status).toBe(401)
    })

    test('and what is done to them stands in the audit log, without a secret', async () => {
      const { body } = await add({ name: 'Ann' })
      const password = 'a secret that nobody logs'
      await call('PATCH', `/users/${body.id}`, { name: 'Eve', password })
      await call('DELETE', `/users/${body.id}`)
      const { text, body: log } = await gateway.operator(
        'GET',
        `/audit-log?tenantId=${homes[home].id}&limit=50`,
      )
      const about = log.data.filter(
        ({ before, after }: Record<string, { userId?: string } | null>) =>
          (after ?? before)?.userId === body.id,
      )
      expect(about.map(({ action }: { action: string }) => action)).toEqual([
        'user.delete',
        'user.update',
        'user.create',
      ])
      expect(about[1]).toMatchObject({
        actor: { type: side === 'tenant' ? 'user' : 'operator' },
        // What was told of people goes with them.
        before: { userId: body.id, name: '[erased]' },
        after: { userId: body.id, name: '[erased]', password: 'replaced' },
      })
      expect(text).not.toMatch(/a secret that nobody logs|argon2/)
      expect(gateway.log()).not.toContain(password)
    })
  })

  describe('the last administrator', () => {
    const make = async () => {
      const tenant = await gateway.createTenant()
      if (home === 'own') await moveToOwnDatabase(gateway, tenant.id)
      const { body } = await me(tenant.token)
      return { tenant, admin: body.user.id as string }
    }

    test.each(['tenant', 'operator'] as const)('is not taken away by the %s', async (side) => {
      const { tenant, admin } = await make()
      const call = sides(tenant)[side]
      // Neither an inactive user nor one with many permissions counts as another administrator.
      const idle = await addPerson(gateway, tenant, { roles: ['admin'] })
      expect((await call('PATCH', `/users/${idle.id}`, { status: 'INACTIVE' })).status).toBe(200)
      const much = await addRole(gateway, tenant, ['users:*', 'roles:*'])
      await addPerson(gateway, tenant, { roles: [much.name] })
      expectProblem(await call('DELETE', `/users/${admin}`), CONFLICT)
      expectProblem(await call('PATCH', `/users/${admin}`, { status: 'INACTIVE' }), CONFLICT)
      expectProblem(await call('PATCH', `/users/${admin}`, { roles: [much.name] }), CONFLICT)
      expect((await me(tenant.token)).status).toBe(200)
      expect((await call('GET', `/users/${admin}`)).body).toMatchObject({
        status: 'ACTIVE',
        roles: ['admin'],
      })
      expect((await call('PATCH', `/users/${idle.id}`, { status: 'ACTIVE' })).status).toBe(200)
      expect((await call('DELETE', `/users/${admin}`)).status).toBe(204)
    })

    test.each([
      ['delete', 'DELETE', undefined],
      ['deactivate', 'PATCH', { status: 'INACTIVE' }],
      ['demote', 'PATCH', { roles: [] }],
    ])('is left when two administrators %s one another at once', async (_how, method, body) => {
      const { tenant, admin } = await make()
      let [ours, token] = [admin, tenant.token]
      for (let round = 0; round < 4; round++) {
        const other = await addPerson(gateway, tenant, { roles: ['admin'] })
        const theirs = await signIn(gateway, tenant, other)
        const answers = await Promise.all([
          as(gateway, token)(method, `/users/${other.id}`, body),
          as(gateway, theirs.accessToken)(method, `/users/${ours}`, body),
        ])
        const [mine, his] = answers.map(({ status }) => status < 300)
        // The second one was refused: as the last administrator, or because their token was void by then.
        expect([mine, his].filter(Boolean), answers.map(({ text }) => text).join()).toHaveLength(1)
        for (const { status } of answers) expect([200, 204, 401, 409]).toContain(status)
        const left = mine ? { id: ours, token } : { id: other.id, token: theirs.accessToken }
        expect((await me(left.token)).body).toMatchObject({ user: { status: 'ACTIVE' }, permissions: ['*'] })
        ;[ours, token] = [left.id, left.token]
      }
    })
  })

  describe('a caller who may change users', () => {
    const make = async (permissions: string[]) => {
      const role = await addRole(gateway, homes[home], permissions)
      const person = await addPerson(gateway, homes[home], { roles: [role.name] })
      const { accessToken } = await signIn(gateway, homes[home], person)
      return { ...person, role: role.name, call: as(gateway, accessToken) }
    }
    const DENIED = { status: 403, code: 'PERMISSION_DENIED' }

    test('needs the permission for it', async () => {
      const { id, call } = await make(['users:read'])
      expect((await call('GET', `/users/${id}`)).status).toBe(200)
      const write = { ...DENIED, required: 'users:write' }
      expectProblem(await call('POST', '/users', { email: 'a@b.c', password: PASSWORD }), write)
      expectProblem(await call('PATCH', `/users/${id}`, { name: 'x' }), write)
      expectProblem(await call('DELETE', `/users/${id}`), write)
      const { call: blind } = await make(['properties:read'])
      for (const path of ['/users', `/users/${id}`])
        expectProblem(await blind('GET', path), { ...DENIED, required: 'users:read' })
    })

    test('gives no user a permission that the caller does not hold, not even themselves', async () => {
      const { id, role, call } = await make(['users:*', 'properties:read'])
      const more = await addRole(gateway, homes[home], ['properties:read', 'properties:write'])
      const denied = { ...DENIED, required: 'properties:write' }
      for (const roles of [[more.name], [role, more.name]]) {
        expectProblem(await call('POST', '/users', { email: 'a@b.c', password: PASSWORD, roles }), denied)
        expectProblem(await call('PATCH', `/users/${id}`, { roles }), denied)
      }
      expectProblem(await call('PATCH', `/users/${id}`, { roles: ['admin'] }), { ...DENIED, required: '*' })
      const made = await call('POST', '/users', {
        email: `${fresh('c')}@b.example`,
        password: PASSWORD,
        roles: [role],
      })
      expect(made.status, made.text).toBe(201)
    })

    test('has no power over a user who holds more', async () => {
      const { call } = await make(['users:*'])
      const admin = await addPerson(gateway, homes[home], { roles: ['admin'] })
      const pair = await signIn(gateway, homes[home], admin)
      const attempts = [
        { password: 'mine from here on' },
        { email: `${fresh('d')}@b.example` },
        { username: fresh('d') },
        { status: 'INACTIVE' },
        { roles: [] },
      ]
      for (const patch of attempts)
        expectProblem(await call('PATCH', `/users/${admin.id}`, patch), { ...DENIED, required: '*' })
      expectProblem(await call('DELETE', `/users/${admin.id}`), { ...DENIED, required: '*' })
      expect((await me(pair.accessToken)).status).toBe(200)
      await signIn(gateway, homes[home], admin)
      // A name gives no power.
      expect((await call('PATCH', `/users/${admin.id}`, { name: 'Boss' })).body.name).toBe('Boss')
    })
  })
})

describe('people', () => {
  test('of a tenant that does not exist are not found', async () => {
    for (const id of [UNKNOWN_ID, 'x'])
      for (const [method, path] of [
        ['GET', '/users'],
        ['GET', `/users/${UNKNOWN_ID}`],
        ['DELETE', `/users/${UNKNOWN_ID}`],
      ])
        expectProblem(await gateway.operator(method as string, `/tenants/${id}${path}`), {
          status: 404,
          code: 'TENANT_NOT_FOUND',
        })
  })

  test('are not changed by an operator who only views', async () => {
    const { body: viewer } = await gateway.operator('POST', '/operators', { name: 'Viewer', role: 'viewer' })
    const { id } = await addPerson(gateway, homes.shared)
    const path = `/tenants/${homes.shared.id}/users/${id}`
    const call = as(gateway, viewer.token)
    expect((await call('GET', path)).status).toBe(200)
    for (const method of ['PATCH', 'DELETE'])
      expectProblem(await call(method, path, method === 'PATCH' ? { name: 'x' } : undefined), {
        ...{ status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' },
      })
  })

  test('move with their tenant, with their tokens void or good as they were', async () => {
    const tenant = await gateway.createTenant()
    const [stays, goes] = [await addPerson(gateway, tenant), await addPerson(gateway, tenant)]
    const [good, bad] = [await signIn(gateway, tenant, stays), await signIn(gateway, tenant, goes)]
    await as(gateway, tenant.token)('PATCH', `/users/${goes.id}`, { roles: ['admin'] })
    await moveToOwnDatabase(gateway, tenant.id)
    expect((await me(good.accessToken)).status).toBe(200)
    expectProblem(await me(bad.accessToken), VOID)
    const { body: next } = await refresh(bad.refreshToken)
    expect((await me(next.accessToken)).body.permissions).toEqual(['*'])
  })
})

test('a tenant that sets many passwords at once is told to wait, and no other is', async () => {
  const tenant = await gateway.createTenant()
  const call = as(gateway, tenant.token)
  const others = await Promise.all([addPerson(gateway, homes.stranger), addPerson(gateway, homes.stranger)])
  const flood = Array.from({ length: 90 }, () =>
    call('POST', '/users', { email: `${fresh('many')}@people.example`, password: PASSWORD }),
  )
  const logins = await Promise.all(others.map((person) => logIn(homes.stranger, person)))
  const statuses = (await Promise.all(flood)).map(({ status }) => status)
  expect(logins.map(({ status, text }) => [status, text.includes('accessToken')])).toEqual([
    [200, true],
    [200, true],
  ])
  expect(new Set(statuses)).toEqual(new Set([201, 429]))
})
