import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { API, expectProblem, type Homes, openHomes } from './support.ts'

let homes: Homes
const lists = () => {
  const tenant = (home: 'shared' | 'own') => (path: string) =>
    homes.gateway.call('GET', `${API}${path}`, { token: homes[home].token })
  const operator = (path: string) => homes.gateway.operator('GET', path)
  return { shared: tenant('shared'), own: tenant('own'), operator }
}

beforeAll(async () => {
  homes = await openHomes()
  for (const home of ['shared', 'own'] as const)
    for (const name of ['a', 'b']) {
      const people = `/tenants/${homes[home].id}`
      const user = { email: `${name}@example.com`, password: 'another long password' }
      expect((await homes.gateway.operator('POST', `${people}/users`, user)).status).toBe(201)
      const key = { name, permissions: ['leases:read'] }
      expect((await homes.gateway.operator('POST', `${people}/client-keys`, key)).status).toBe(201)
      const role = { name: `role ${name}`, permissions: [] }
      const { token } = homes[home]
      expect((await homes.gateway.call('POST', `${API}/roles`, { token, body: role })).status).toBe(201)
    }
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

describe.each(['/users', '/roles', '/client-keys', '/audit-log'])('a page of %s', (path) => {
  test('is followed by the one that its Link names, with HEAD too', async () => {
    const { shared } = lists()
    const first = await shared(`${path}?limit=1`)
    const [, next = ''] = /^<\/api\/v1(.+)>; rel="next"$/.exec(first.headers.get('link') ?? '') ?? []
    expect(new URL(next, 'http://x').searchParams.get('cursor')).toBe(first.body.nextCursor)
    const second = await shared(next)
    expect([second.status, second.body.data.length]).toEqual([200, 1])
    expect(second.body.data[0].id).not.toBe(first.body.data[0].id)
    const head = await homes.gateway.call('HEAD', `${API}${next}`, { token: homes.shared.token })
    expect([head.status, head.text]).toEqual([200, ''])
    const whole = await shared(`${path}?limit=200`)
    expect([whole.body.nextCursor, whole.headers.get('link')]).toEqual([null, null])
  })

  test('has a cursor that is good for this list of this tenant alone', async () => {
    const { shared, own, operator } = lists()
    const cursor: string = (await shared(`${path}?limit=1`)).body.nextCursor
    const other = path === '/users' ? '/roles' : '/users'
    const strangers = [
      own(`${path}?cursor=${cursor}`),
      shared(`${other}?cursor=${cursor}`),
      shared(`/places?cursor=${cursor}`),
      operator(`/tenants/${homes.shared.id}/users?cursor=${cursor}`),
      operator(`/audit-log?cursor=${cursor}`),
      shared(`${path}?cursor=${cursor.startsWith('A') ? 'B' : 'A'}${cursor.slice(1)}`),
    ]
    for (const answer of await Promise.all(strangers))
      expectProblem(answer, { status: 400, code: 'INVALID_CURSOR' })
  })

  test.each(['0', '201', '1e400', '-1e400', 'x'])('has no limit of %s', async (limit) => {
    const answer = await lists().shared(`${path}?limit=${limit}`)
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/limit'] })
  })
})

test('an operator takes a cursor neither to another tenant’s list nor under another filter', async () => {
  const { operator } = lists()
  const users = (home: 'shared' | 'own') => `/tenants/${homes[home].id}/users`
  const { nextCursor } = (await operator(`${users('shared')}?limit=1`)).body
  expect((await operator(`${users('shared')}?cursor=${nextCursor}`)).status).toBe(200)
  expectProblem(await operator(`${users('own')}?cursor=${nextCursor}`), {
    status: 400,
    code: 'INVALID_CURSOR',
  })
  const tenants = (await operator('/tenants?limit=1&status=ACTIVE')).body.nextCursor
  expect((await operator(`/tenants?status=ACTIVE&limit=5&cursor=${tenants}`)).status).toBe(200)
  expectProblem(await operator(`/tenants?cursor=${tenants}`), { status: 400, code: 'INVALID_CURSOR' })
})
