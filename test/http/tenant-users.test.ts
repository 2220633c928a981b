import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import type { Answer } from '../support/gateway.ts'
import { readPages } from './pages.ts'
import { API, expectProblem, type Homes, openHomes, UNKNOWN_ID } from './support.ts'

let homes: Homes
beforeAll(async () => {
  homes = await openHomes()
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

const PASSWORD = 'a long enough password'
const MOMENT = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }
let count = 0
/** An address that no other user has, in any tenant. */
const newUser = (more: object = {}) => ({
  email: `User${++count}@people.example`,
  password: PASSWORD,
  ...more,
})

type Home = 'shared' | 'own' | 'stranger'
type Side = 'operator' | 'tenant'
const HOMES = ['shared', 'own'] as const

/** The same people as the two kinds of callers reach them. */
function people(home: Home, side: Side) {
  const tenant = homes[home]
  const path = side === 'operator' ? `/tenants/${tenant.id}/users` : '/users'
  const token = side === 'operator' ? homes.stage.operatorToken : tenant.token
  return {
    path,
    token,
    add: (body: unknown) => homes.gateway.call('POST', `${API}${path}`, { token, body }),
    list: (asked = '') => homes.gateway.call('GET', `${API}${path}?${asked}`, { token }),
  }
}

const signIn = (home: Home, who: object, password = PASSWORD) =>
  homes.gateway.call('POST', `${API}/auth/login`, {
    body: { tenantCode: homes[home].code, ...who, password },
  })

async function keyWith(home: Home, permissions: string[]): Promise<Record<string, string>> {
  const body = { name: 'program', permissions }
  const made = await homes.gateway.operator('POST', `/tenants/${homes[home].id}/client-keys`, body)
  return { 'x-client-key': made.body.key, 'x-tenant-code': homes[home].code }
}

const CASES = HOMES.flatMap((home) => [
  { home, side: 'operator' as const },
  { home, side: 'tenant' as const },
])

describe.each(CASES)('people of a tenant whose database is $home, seen by the $side', ({ home, side }) => {
  const add = (body: unknown) => people(home, side).add(body)
  const list = (asked?: string) => people(home, side).list(asked)

  describe('201', () => {
    test('a user has exactly these fields, signs in, and may do nothing yet', async () => {
      const input = newUser({ username: `Ann-${side}`, name: 'Ann Åkesson' })
      const { status, body, text } = await add(input)
      expect(status, text).toBe(201)
      expect(body).toEqual({
        ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), username: `Ann-${side}` },
        // An address is kept in one spelling, a user name as it was chosen.
        ...{ email: input.email.toLowerCase() },
        ...{ name: 'Ann Åkesson', taxNumber: null, status: 'ACTIVE', roles: [] },
        ...{ createdAt: MOMENT, updatedAt: MOMENT },
      })
      const signedIn = await signIn(home, { email: input.email.toLowerCase() })
      const me = await homes.gateway.call('GET', `${API}/auth/me`, { token: signedIn.body.accessToken })
      expect(me.body).toMatchObject({ user: body, roles: [], permissions: [] })
      expect((await signIn(home, { username: `ANN-${side}` })).status).toBe(200)
    })

    test('with a role it has what the role grants, named once', async () => {
      const { body, text } = await add(newUser({ roles: ['admin'] }))
      expect(body.roles, text).toEqual(['admin'])
      const { body: tokens } = await signIn(home, { email: body.email })
      const places = await homes.gateway.call('GET', `${API}/places`, { token: tokens.accessToken })
      expect(places.status).toBe(200)
    })

    test('what may be left out may also be empty', async () => {
      const { body } = await add(newUser({ roles: [] }))
      expect(body).toMatchObject({ username: null, name: null, roles: [] })
    })

    test('neighbours may know the same people', async () => {
      const input = newUser({ username: `both-${home}-${side}` })
      expect((await add(input)).status).toBe(201)
      expect((await people('stranger', 'operator').add(input)).status).toBe(201)
    })
  })

  describe('200', () => {
    test('the list has all people of the tenant and no others, in pages, oldest first', async () => {
      const { body: theirs } = await people('stranger', 'operator').add(newUser())
      const made = [await add(newUser()), await add(newUser()), await add(newUser())]
      const { path, token } = people(home, side)
      const rows = await readPages(homes.gateway, path, { token, query: 'limit=2' })
      const ids = rows.map(({ id }) => id)
      expect(ids).toEqual([...new Set(ids)].toSorted())
      for (const { body } of made) expect(rows.find(({ id }) => id === body.id)).toEqual(body)
      expect(rows[0].email).toBe(homes[home].admin.email)
      expect(ids).not.toContain(theirs.id)
      const other = people(home, side === 'operator' ? 'tenant' : 'operator')
      const seen = await readPages(homes.gateway, other.path, { token: other.token, query: 'limit=200' })
      expect(seen).toEqual(rows)
    })

    test('nothing that a password left behind is shown', async () => {
      await add(newUser())
      const { text } = await list('limit=200')
      for (const secret of [PASSWORD, 'argon2', 'password']) expect(text).not.toContain(secret)
    })
  })

  describe('400', () => {
    test.each([
      [{ email: undefined }, ['/email']],
      [{ email: 'nobody' }, ['/email']],
      [{ email: 'a b@c.example' }, ['/email']],
      [{ email: `${'x'.repeat(250)}@c.example` }, ['/email']],
      [{ password: undefined }, ['/password']],
      [{ password: 'too short' }, ['/password']],
      [{ password: 'x'.repeat(1025) }, ['/password']],
      [{ password: 'ä'.repeat(600) }, ['/password']],
      [{ username: '' }, ['/username']],
      [{ username: '-dash' }, ['/username']],
      [{ username: 'with space' }, ['/username']],
      [{ name: ' ' }, ['/name']],
      [{ roles: 'admin' }, ['/roles']],
      [{ roles: ['admin', 'admin'] }, ['/roles']],
      [{ tenantId: UNKNOWN_ID }, ['/tenantId']],
      [{ permissions: ['*'] }, ['/permissions']],
      [{ status: 'INACTIVE' }, ['/status']],
    ])('%j', async (more, pointers) => {
      expectProblem(await add(newUser(more)), { ...INVALID, pointers })
    })

    test.each(['limit=0', 'email=a@b.example', 'tenantId=x'])('?%s', async (asked) => {
      expectProblem(await list(asked), INVALID)
    })

    test('a cursor that is none', async () => {
      expectProblem(await list('cursor=x'), { status: 400, code: 'INVALID_CURSOR' })
    })
  })

  describe('404', () => {
    test('a role that the tenant does not have, and then no user is made', async () => {
      const input = newUser({ roles: ['no-such-role'] })
      expectProblem(await add(input), { status: 404, code: 'REFERENCE_NOT_FOUND' })
      expect((await list('limit=200')).text).not.toContain(input.email)
    })
  })

  describe('409', () => {
    test('an address or a user name that is taken, in any spelling', async () => {
      const taken = newUser({ username: `taken-${side}` })
      expect((await add(taken)).status).toBe(201)
      const again = [
        newUser({ email: taken.email }),
        newUser({ email: taken.email.toUpperCase() }),
        newUser({ username: `TAKEN-${side}` }),
      ]
      for (const body of again) expectProblem(await add(body), { status: 409, code: 'CONFLICT' })
    })

    test('of many with one address one is made', async () => {
      const body = newUser()
      const answers = await Promise.all(Array.from({ length: 5 }, () => add(body)))
      expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409])
    })
  })
})

describe.each(HOMES)('permissions of a tenant whose database is %s', (home) => {
  const call = (method: string, headers: Record<string, string>, body?: unknown) =>
    homes.gateway.call(method, `${API}/users`, { headers, ...(body !== undefined && { body }) })
  const denied = (answer: Answer, required: string) =>
    expectProblem(answer as Answer<Record<string, unknown>>, {
      status: 403,
      code: 'PERMISSION_DENIED',
      required,
    })

  test('reading is one thing, writing another', async () => {
    const [reads, writes] = [await keyWith(home, ['users:read']), await keyWith(home, ['users:write'])]
    expect((await call('GET', reads)).status).toBe(200)
    denied(await call('POST', reads, newUser()), 'users:write')
    denied(await call('GET', writes), 'users:read')
    expect((await call('POST', writes, newUser())).status).toBe(201)
  })

  test('no caller makes a user who may do more than the caller', async () => {
    const writer = await keyWith(home, ['users:*', 'properties:*'])
    const admin = newUser({ roles: ['admin'] })
    denied(await call('POST', writer, admin), '*')
    // Nor by a role among others.
    expectProblem(await call('POST', writer, { ...admin, roles: ['no-such-role', 'admin'] }), {
      ...{ status: 404, code: 'REFERENCE_NOT_FOUND' },
    })
    expect((await signIn(home, { email: admin.email })).status).toBe(401)
    expect((await call('POST', await keyWith(home, ['*']), admin)).status).toBe(201)
  })

  test('an operator names no tenant but by the path, and a tenant none at all', async () => {
    const { gateway, stage } = homes
    for (const id of [UNKNOWN_ID, 'x', homes[home].code]) {
      for (const [method, body] of [['GET'], ['POST', newUser()]] as const)
        expectProblem(await gateway.operator(method, `/tenants/${id}/users`, body), {
          ...{ status: 404, code: 'TENANT_NOT_FOUND' },
        })
    }
    const { token } = homes.stranger
    expectProblem(await gateway.call('GET', `${API}/tenants/${homes[home].id}/users`, { token }), {
      ...{ status: 403, code: 'OPERATOR_REQUIRED' },
    })
    expectProblem(await gateway.call('GET', `${API}/users`, { token: stage.operatorToken }), {
      ...{ status: 403, code: 'PERMISSION_DENIED' },
    })
  })
})

describe('where people are kept', () => {
  test("is the tenant's own database, where it has one", async () => {
    const shared = superuserUrl(new URL(homes.stage.sharedUrl).pathname.slice(1))
    const inShared = async (home: Home) => {
      const { body } = await people(home, 'operator').add(newUser())
      return query(shared, 'SELECT tenant_id::text FROM users WHERE id = $1', [body.id])
    }
    expect(await inShared('shared')).toEqual([{ tenant_id: homes.shared.id }])
    expect(await inShared('own')).toEqual([])
  })
})

describe('a tenant that is INACTIVE', () => {
  test('lets an operator manage its people, and lets none of them sign in', async () => {
    const tenant = await homes.gateway.createTenant()
    await homes.gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'INACTIVE' })
    const path = `/tenants/${tenant.id}/users`
    const made = await homes.gateway.operator('POST', path, newUser())
    expect(made.status, made.text).toBe(201)
    expect((await homes.gateway.operator('GET', path)).body.data).toHaveLength(2)
    expectProblem(await homes.gateway.call('GET', `${API}/users`, { token: tenant.token }), {
      ...{ status: 404, code: 'TENANT_NOT_FOUND' },
    })
  })
})

test('no password is in the log, nor in the audit log', async () => {
  const { text } = await homes.gateway.operator('GET', '/audit-log?action=user.create&limit=200')
  expect(text).not.toContain(PASSWORD)
  expect(homes.gateway.log()).not.toContain(PASSWORD)
})
