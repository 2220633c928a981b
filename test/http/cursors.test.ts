import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { API, expectProblem, type Fixture, openFixture } from './support.ts'

let fixture: Fixture
const lists = () => {
  const tenant = (placement: 'shared' | 'dedicated') => (path: string) =>
    fixture.gateway.call('GET', `${API}${path}`, { token: fixture[placement].token })
  const operator = (path: string) => fixture.gateway.operator('GET', path)
  return { shared: tenant('shared'), dedicated: tenant('dedicated'), operator }
}

beforeAll(async () => {
  fixture = await openFixture()
  for (const placement of ['shared', 'dedicated'] as const)
    for (const name of ['a', 'b']) {
      const people = `/tenants/${fixture[placement].id}`
      const user = { email: `${name}@example.com`, password: 'another long password' }
      expect((await fixture.gateway.operator('POST', `${people}/users`, user)).status).toBe(201)
      const key = { name, permissions: ['leases:read'] }
      expect((await fixture.gateway.operator('POST', `${people}/client-keys`, key)).status).toBe(201)
      const role = { name: `role ${name}`, permissions: [] }
      const { token } = fixture[placement]
      expect((await fixture.gateway.call('POST', `${API}/roles`, { token, body: role })).status).toBe(201)
    }
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

describe.each(['/users', '/roles', '/client-keys', '/audit-log'])('a page of %s', (path) => {
  test('is followed by the page that its Link names, with HEAD too', async () => {
    const { shared } = lists()
    const first = await shared(`${path}?limit=1`)
    const [, next = ''] = /^<\/api\/v1(.+)>; rel="next"$/.exec(first.headers.get('link') ?? '') ?? []
    expect(new URL(next, 'http://x').searchParams.get('cursor')).toBe(first.body.nextCursor)
    const second = await shared(next)
    expect([second.status, second.body.data.length]).toEqual([200, 1])
    expect(second.body.data[0].id).not.toBe(first.body.data[0].id)
    const head = await fixture.gateway.call('HEAD', `${API}${next}`, { token: fixture.shared.token })
    expect([head.status, head.text]).toEqual([200, ''])
    const whole = await shared(`${path}?limit=200`)
    expect([whole.body.nextCursor, whole.headers.get('link')]).toEqual([null, null])
  })

  test('has a cursor that is valid only for this list of this tenant', async () => {
    const { shared, dedicated, operator } = lists()
    const cursor: string = (await shared(`${path}?limit=1`)).body.nextCursor
    const other = path === '/users' ? '/roles' : '/users'
    const answers = [
      dedicated(`${path}?cursor=${cursor}`),
      shared(`${other}?cursor=${cursor}`),
      shared(`/places?cursor=${cursor}`),
      operator(`/tenants/${fixture.shared.id}/users?cursor=${cursor}`),
      operator(`/audit-log?cursor=${cursor}`),
      shared(`${path}?cursor=${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`),
    ]
    for (const answer of await Promise.all(answers))
      expectProblem(answer, { status: 400, code: 'INVALID_CURSOR' })
  })

  test.each(['0', '201', '1e400', '-1e400', 'x'])('refuses the limit %s', async (limit) => {
    const answer = await lists().shared(`${path}?limit=${limit}`)
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/limit'] })
  })
})

test('an operator cannot use a cursor in another tenant’s list or with another filter', async () => {
  const { operator } = lists()
  const users = (placement: 'shared' | 'dedicated') => `/tenants/${fixture[placement].id}/users`
  const { nextCursor } = (await operator(`${users('shared')}?limit=1`)).body
  expect((await operator(`${users('shared')}?cursor=${nextCursor}`)).status).toBe(200)
  expectProblem(await operator(`${users('dedicated')}?cursor=${nextCursor}`), {
    status: 400,
    code: 'INVALID_CURSOR',
  })
  const tenants = (await operator('/tenants?limit=1&status=ACTIVE')).body.nextCursor
  expect((await operator(`/tenants?status=ACTIVE&limit=5&cursor=${tenants}`)).status).toBe(200)
  expectProblem(await operator(`/tenants?cursor=${tenants}`), { status: 400, code: 'INVALID_CURSOR' })
})
