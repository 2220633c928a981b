import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import type { Answer } from '../support/gateway.ts'
import { readPages } from './pages.ts'
import { API, expectProblem, type Fixture, openFixture, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
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

type Owner = 'shared' | 'dedicated' | 'other'
type Side = 'operator' | 'tenant'
const PLACEMENTS = ['shared', 'dedicated'] as const

/** The same users, as the two kinds of callers reach them. */
function people(owner: Owner, side: Side) {
  const tenant = fixture[owner]
  const path = side === 'operator' ? `/tenants/${tenant.id}/users` : '/users'
  const token = side === 'operator' ? fixture.stage.operatorToken : tenant.token
  return {
    path,
    token,
    add: (body: unknown) => fixture.gateway.call('POST', `${API}${path}`, { token, body }),
    list: (asked = '') => fixture.gateway.call('GET', `${API}${path}?${asked}`, { token }),
  }
}

const signIn = (owner: Owner, who: object, password = PASSWORD) =>
  fixture.gateway.call('POST', `${API}/auth/login`, {
    body: { tenantCode: fixture[owner].code, ...who, password },
  })

async function keyWith(owner: Owner, permissions: string[]): Promise<Record<string, string>> {
  const body = { name: 'program', permissions }
  const made = await fixture.gateway.operator('POST', `/tenants/${fixture[owner].id}/client-keys`, body)
  return { 'x-client-key': made.body.key, 'x-tenant-code': fixture[owner].code }
}

const CASES = PLACEMENTS.flatMap((placement) => [
  { placement, side: 'operator' as const },
  { placement, side: 'tenant' as const },
])

describe.each(CASES)(
  'users of a tenant in a $placement database, managed by the $side',
  ({ placement, side }) => {
    const add = (body: unknown) => people(placement, side).add(body)
    const list = (asked?: string) => people(placement, side).list(asked)

    describe('201', () => {
      test('a user has exactly these fields, can sign in, and has no permission yet', async () => {
        const input = newUser({ username: `Ann-${side}`, name: 'Ann Åkesson' })
        const { status, body, text } = await add(input)
        expect(status, text).toBe(201)
        expect(body).toEqual({
          ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), username: `Ann-${side}` },
          // An address has one spelling. A user name stays as it was chosen.
          ...{ email: input.email.toLowerCase() },
          ...{ name: 'Ann Åkesson', taxNumber: null, status: 'ACTIVE', roles: [] },
          ...{ createdAt: MOMENT, updatedAt: MOMENT },
        })
        const signedIn = await signIn(placement, { email: input.email.toLowerCase() })
        const me = await fixture.gateway.call('GET', `${API}/auth/me`, { token: signedIn.body.accessToken })
        expect(me.body).toMatchObject({ user: body, roles: [], permissions: [] })
        expect((await signIn(placement, { username: `ANN-${side}` })).status).toBe(200)
      })

      test('with a role the user has its permissions, each listed once', async () => {
        const { body, text } = await add(newUser({ roles: ['admin'] }))
        expect(body.roles, text).toEqual(['admin'])
        const { body: tokens } = await signIn(placement, { email: body.email })
        const places = await fixture.gateway.call('GET', `${API}/places`, { token: tokens.accessToken })
        expect(places.status).toBe(200)
      })

      test('an optional field may also be empty', async () => {
        const { body } = await add(newUser({ roles: [] }))
        expect(body).toMatchObject({ username: null, name: null, roles: [] })
      })

      test('other tenants may have users with the same address', async () => {
        const input = newUser({ username: `both-${placement}-${side}` })
        expect((await add(input)).status).toBe(201)
        expect((await people('other', 'operator').add(input)).status).toBe(201)
      })
    })

    describe('200', () => {
      test('the list has all users of the tenant and no others, in pages, oldest first', async () => {
        const { body: theirs } = await people('other', 'operator').add(newUser())
        const made = [await add(newUser()), await add(newUser()), await add(newUser())]
        const { path, token } = people(placement, side)
        const rows = await readPages(fixture.gateway, path, { token, query: 'limit=2' })
        const ids = rows.map(({ id }) => id)
        expect(ids).toEqual([...new Set(ids)].toSorted())
        for (const { body } of made) expect(rows.find(({ id }) => id === body.id)).toEqual(body)
        expect(rows[0].email).toBe(fixture[placement].admin.email)
        expect(ids).not.toContain(theirs.id)
        const other = people(placement, side === 'operator' ? 'tenant' : 'operator')
        const seen = await readPages(fixture.gateway, other.path, { token: other.token, query: 'limit=200' })
        expect(seen).toEqual(rows)
      })

      test('no answer shows anything derived from a password', async () => {
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

      test('an invalid cursor', async () => {
        expectProblem(await list('cursor=x'), { status: 400, code: 'INVALID_CURSOR' })
      })
    })

    describe('404', () => {
      test('a role that the tenant does not have, and no user is created', async () => {
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

      test('of many requests with one address, one creates a user', async () => {
        const body = newUser()
        const answers = await Promise.all(Array.from({ length: 5 }, () => add(body)))
        expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409])
      })
    })
  },
)

describe.each(PLACEMENTS)('permissions of a tenant in a %s database', (placement) => {
  const call = (method: string, headers: Record<string, string>, body?: unknown) =>
    fixture.gateway.call(method, `${API}/users`, { headers, ...(body !== undefined && { body }) })
  const denied = (answer: Answer, required: string) =>
    expectProblem(answer as Answer<Record<string, unknown>>, {
      status: 403,
      code: 'PERMISSION_DENIED',
      required,
    })

  test('reading and writing need different permissions', async () => {
    const [reads, writes] = [
      await keyWith(placement, ['users:read']),
      await keyWith(placement, ['users:write']),
    ]
    expect((await call('GET', reads)).status).toBe(200)
    denied(await call('POST', reads, newUser()), 'users:write')
    denied(await call('GET', writes), 'users:read')
    expect((await call('POST', writes, newUser())).status).toBe(201)
  })

  test('no caller can create a user with more permissions than the caller', async () => {
    const writer = await keyWith(placement, ['users:*', 'properties:*'])
    const admin = newUser({ roles: ['admin'] })
    denied(await call('POST', writer, admin), '*')
    // Not by one role among others either.
    expectProblem(await call('POST', writer, { ...admin, roles: ['no-such-role', 'admin'] }), {
      ...{ status: 404, code: 'REFERENCE_NOT_FOUND' },
    })
    expect((await signIn(placement, { email: admin.email })).status).toBe(401)
    expect((await call('POST', await keyWith(placement, ['*']), admin)).status).toBe(201)
  })

  test("an operator names the tenant only in the path, and a tenant's caller never", async () => {
    const { gateway, stage } = fixture
    for (const id of [UNKNOWN_ID, 'x', fixture[placement].code]) {
      for (const [method, body] of [['GET'], ['POST', newUser()]] as const)
        expectProblem(await gateway.operator(method, `/tenants/${id}/users`, body), {
          ...{ status: 404, code: 'TENANT_NOT_FOUND' },
        })
    }
    const { token } = fixture.other
    expectProblem(await gateway.call('GET', `${API}/tenants/${fixture[placement].id}/users`, { token }), {
      ...{ status: 403, code: 'OPERATOR_REQUIRED' },
    })
    expectProblem(await gateway.call('GET', `${API}/users`, { token: stage.operatorToken }), {
      ...{ status: 403, code: 'PERMISSION_DENIED' },
    })
  })
})

describe("the database of a tenant's users", () => {
  test('is the dedicated database if the tenant has one', async () => {
    const shared = superuserUrl(new URL(fixture.stage.sharedUrl).pathname.slice(1))
    const inShared = async (owner: Owner) => {
      const { body } = await people(owner, 'operator').add(newUser())
      return query(shared, 'SELECT tenant_id::text FROM users WHERE id = $1', [body.id])
    }
    expect(await inShared('shared')).toEqual([{ tenant_id: fixture.shared.id }])
    expect(await inShared('dedicated')).toEqual([])
  })
})

describe('a tenant that is INACTIVE', () => {
  test('lets an operator manage its users, but none of them can sign in', async () => {
    const tenant = await fixture.gateway.createTenant()
    await fixture.gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'INACTIVE' })
    const path = `/tenants/${tenant.id}/users`
    const made = await fixture.gateway.operator('POST', path, newUser())
    expect(made.status, made.text).toBe(201)
    expect((await fixture.gateway.operator('GET', path)).body.data).toHaveLength(2)
    expectProblem(await fixture.gateway.call('GET', `${API}/users`, { token: tenant.token }), {
      ...{ status: 404, code: 'TENANT_NOT_FOUND' },
    })
  })
})

test('neither the log nor the audit log contains a password', async () => {
  const { text } = await fixture.gateway.operator('GET', '/audit-log?action=user.create&limit=200')
  expect(text).not.toContain(PASSWORD)
  expect(fixture.gateway.log()).not.toContain(PASSWORD)
})
