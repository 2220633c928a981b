import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { addPerson, addRole, as, fresh, PASSWORD, type Person, signIn } from './people.ts'
import {
  API,
  expectProblem,
  type Fixture,
  moveToOwnDatabase,
  NOTIFIED,
  openFixture,
  telling,
  UNKNOWN_ID,
} from './support.ts'

const GONE = { status: 404, code: 'NOT_FOUND' }
const WRONG = { status: 401, code: 'INVALID_CREDENTIALS' }
const VOID = { status: 401, code: 'TOKEN_INVALID' }
const CONFLICT = { status: 409, code: 'CONFLICT' }
const PLACEMENTS = ['shared', 'dedicated'] as const
const UNLIMITED = { LOGIN_RATE_LIMIT_PER_MINUTE: '100000' }

let fixture: Fixture
let gateway: TestGateway
let replica: TestGateway
beforeAll(async () => {
  fixture = await openFixture(UNLIMITED)
  gateway = fixture.gateway
  replica = await startGateway(fixture.stage, UNLIMITED)
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await dropAll()
})

/** The same collection, as the tenant's administrator and an operator reach it. */
function sides(tenant: TestTenant) {
  const operator = (method: string, path: string, body?: unknown) =>
    gateway.operator(method, `/tenants/${tenant.id}${path}`, body)
  return { tenant: as(gateway, tenant.token), operator }
}

const me = (token: string, from = gateway) => from.call('GET', `${API}/auth/me`, { token })
const refresh = (refreshToken: string) =>
  gateway.call('POST', `${API}/auth/refresh`, { body: { refreshToken } })
const logIn = (tenant: TestTenant, { email, password }: Omit<Person, 'id'>, at = gateway) =>
  at.call('POST', `${API}/auth/login`, { body: { tenantCode: tenant.code, email, password } })

describe.each(PLACEMENTS)('users of a tenant in a %s database', (placement) => {
  describe.each(['tenant', 'operator'] as const)('through the paths of the %s', (side) => {
    const call = (method: string, path: string, body?: unknown) =>
      sides(fixture[placement])[side](method, path, body)
    const add = async (more: object = {}) => {
      const email = `${fresh('ann')}@Example.com`
      const answer = await call('POST', '/users', { email, password: PASSWORD, ...more })
      expect(answer.status, answer.text).toBe(201)
      return answer
    }

    test('are created, found, listed, changed and deleted', async () => {
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
      // Users may keep their own values, and another tenant may have the same ones.
      expect((await call('PATCH', `/users/${first.id}`, { [field]: spell(taken) })).status).toBe(200)
      const theirs = await sides(fixture.other).operator('POST', '/users', again)
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
    ])('cannot be changed to %j', async (patch, pointers) => {
      const { body } = await add()
      const answer = await call('PATCH', `/users/${body.id}`, patch)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
      expect((await call('GET', `/users/${body.id}`)).body).toEqual(body)
    })

    test('cannot get an unknown role', async () => {
      const { body } = await add()
      const missing = { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/roles/1'] }
      expectProblem(await call('PATCH', `/users/${body.id}`, { roles: ['admin', 'emperor'] }), missing)
      expect((await call('GET', `/users/${body.id}`)).body.roles).toEqual([])
    })

    test('of another tenant are answered like those that do not exist', async () => {
      const { id } = await addPerson(gateway, fixture.other)
      for (const [method, body] of [['GET'], ['PATCH', { name: 'mine' }], ['DELETE']] as const) {
        const [foreignAnswer, missingAnswer] = [
          await call(method, `/users/${id}`, body),
          await call(method, `/users/${UNKNOWN_ID}`, body),
        ]
        expectProblem(foreignAnswer, GONE)
        expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
      }
      expect((await call('GET', '/users?limit=200')).text).not.toContain(id)
    })

    test('who are deactivated lose access at once on every replica, and can sign in after they are ACTIVE again', async () => {
      const person = await addPerson(gateway, fixture[placement])
      const pair = await signIn(gateway, fixture[placement], person)
      for (const from of [gateway, replica]) expect((await me(pair.accessToken, from)).status).toBe(200)
      const off = await call('PATCH', `/users/${person.id}`, { status: 'INACTIVE' })
      expect(off.body).toMatchObject({ id: person.id, status: 'INACTIVE' })
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expectProblem(await logIn(fixture[placement], person), WRONG)
      await expect.poll(async () => (await me(pair.accessToken, replica)).status, NOTIFIED).toBe(401)
      expect((await call('PATCH', `/users/${person.id}`, { status: 'ACTIVE' })).body.status).toBe('ACTIVE')
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expect((await me((await signIn(gateway, fixture[placement], person)).accessToken)).status).toBe(200)
    })

    test('who get another password lose their sessions, and are not locked out', async () => {
      const person = await addPerson(gateway, fixture[placement])
      const pair = await signIn(gateway, fixture[placement], person)
      for (let n = 0; n < 10; n++) await logIn(fixture[placement], { ...person, password: 'wrong' })
      expectProblem(await logIn(fixture[placement], person), { status: 403, code: 'ACCOUNT_LOCKED' })
      const password = 'another long password'
      expect((await call('PATCH', `/users/${person.id}`, { password })).status).toBe(200)
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expectProblem(await logIn(fixture[placement], person), WRONG)
      await signIn(gateway, fixture[placement], { ...person, password })
    })

    test('who get other roles lose their access tokens, and keep their session', async () => {
      const role = await addRole(gateway, fixture[placement], ['properties:read'])
      const person = await addPerson(gateway, fixture[placement], { roles: [role.name] })
      const pair = await signIn(gateway, fixture[placement], person)
      expect((await me(pair.accessToken)).body.permissions).toEqual(['properties:read'])
      expect((await call('PATCH', `/users/${person.id}`, { roles: [] })).body.roles).toEqual([])
      expectProblem(await me(pair.accessToken), VOID)
      const { body: next } = await refresh(pair.refreshToken)
      expect((await me(next.accessToken)).body).toMatchObject({ roles: [], permissions: [] })
    })

    test('who are deleted lose everything that they held', async () => {
      const person = await addPerson(gateway, fixture[placement], { roles: ['admin'] })
      const pair = await signIn(gateway, fixture[placement], person)
      expect((await call('DELETE', `/users/${person.id}`)).status).toBe(204)
      expectProblem(await me(pair.accessToken), VOID)
      expectProblem(await refresh(pair.refreshToken), WRONG)
      expectProblem(await logIn(fixture[placement], person), WRONG)
      await expect.poll(async () => (await me(pair.accessToken, replica)).status, NOTIFIED).toBe(401)
    })

    test('have their changes in the audit log, without a secret', async () => {
      const { body } = await add({ name: 'Ann' })
      const password = 'a secret that nobody logs'
      await call('PATCH', `/users/${body.id}`, { name: 'Eve', password })
      await call('DELETE', `/users/${body.id}`)
      const { text, body: log } = await gateway.operator(
        'GET',
        `/audit-log?tenantId=${fixture[placement].id}&limit=50`,
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
        // The personal data is deleted with the user.
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
      if (placement === 'dedicated') await moveToOwnDatabase(gateway, tenant.id)
      const { body } = await me(tenant.token)
      return { tenant, admin: body.user.id as string }
    }

    test.each(['tenant', 'operator'] as const)('cannot be removed by the %s', async (side) => {
      const { tenant, admin } = await make()
      const call = sides(tenant)[side]
      // An inactive user does not count as another administrator, and neither does one with many single permissions.
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
    ])('remains when two administrators %s one another at once', async (_how, method, body) => {
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
        // The second request was refused, because it concerned the last administrator or because its token was void by then.
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
      const role = await addRole(gateway, fixture[placement], permissions)
      const person = await addPerson(gateway, fixture[placement], { roles: [role.name] })
      const { accessToken } = await signIn(gateway, fixture[placement], person)
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

    test('cannot give a permission that the caller does not hold, not even to themselves', async () => {
      const { id, role, call } = await make(['users:*', 'properties:read'])
      const more = await addRole(gateway, fixture[placement], ['properties:read', 'properties:write'])
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

    test('cannot change a user who holds more permissions', async () => {
      const { call } = await make(['users:*'])
      const admin = await addPerson(gateway, fixture[placement], { roles: ['admin'] })
      const pair = await signIn(gateway, fixture[placement], admin)
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
      await signIn(gateway, fixture[placement], admin)
      // A name gives no permission.
      expect((await call('PATCH', `/users/${admin.id}`, { name: 'Boss' })).body.name).toBe('Boss')
    })
  })
})

describe('users', () => {
  test('of an unknown tenant are not found', async () => {
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

  test('cannot be changed by a viewer', async () => {
    const { body: viewer } = await gateway.operator('POST', '/operators', { name: 'Viewer', role: 'viewer' })
    const { id } = await addPerson(gateway, fixture.shared)
    const path = `/tenants/${fixture.shared.id}/users/${id}`
    const call = as(gateway, viewer.token)
    expect((await call('GET', path)).status).toBe(200)
    for (const method of ['PATCH', 'DELETE'])
      expectProblem(await call(method, path, method === 'PATCH' ? { name: 'x' } : undefined), {
        ...{ status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' },
      })
  })

  test('move with their tenant, and their tokens stay void or valid as before', async () => {
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

test('a tenant that sets many passwords at once is told to wait, and other tenants are not', async () => {
  // At the usual cost, requests arrive faster than their passwords are hashed.
  const { passwordCost: _, ...usual } = fixture.stage
  const usualCost = await startGateway(usual, UNLIMITED)
  onTestFinished(() => usualCost.close())
  const tenant = await usualCost.createTenant()
  const call = as(usualCost, tenant.token)
  const others = await Promise.all([addPerson(gateway, fixture.other), addPerson(gateway, fixture.other)])
  const flood = Array.from({ length: 90 }, () =>
    call('POST', '/users', { email: `${fresh('many')}@people.example`, password: PASSWORD }),
  )
  const logins = await Promise.all(others.map((person) => logIn(fixture.other, person, usualCost)))
  const statuses = (await Promise.all(flood)).map(({ status }) => status)
  expect(logins.map(({ status, text }) => [status, text.includes('accessToken')])).toEqual([
    [200, true],
    [200, true],
  ])
  expect(new Set(statuses)).toEqual(new Set([201, 429]))
})
