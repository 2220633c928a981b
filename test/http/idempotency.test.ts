import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { withClient } from '../support/tenant-database.ts'
import { API, expectProblem, type Fixture, openFixture } from './support.ts'

let fixture: Fixture
let databases: Record<'shared' | 'dedicated', string>
beforeAll(async () => {
  fixture = await openFixture()
  const dedicated = await fixture.gateway.operator('GET', `/tenants/${fixture.dedicated.id}/database`)
  databases = {
    shared: superuserUrl(new URL(fixture.stage.sharedUrl).pathname.slice(1)),
    dedicated: superuserUrl(dedicated.body.database),
  }
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const post = (tenant: TestTenant, key: string | null, body: unknown, path = 'places') =>
  fixture.gateway.call('POST', `${API}/${path}`, {
    token: tenant.token,
    headers: key === null ? {} : { 'idempotency-key': key },
    body,
  })

describe.each(['shared', 'dedicated'] as const)(
  'a POST with a key, of a tenant in a %s database',
  (placement) => {
    const rows = (name: string) =>
      query<{ id: string }>(
        databases[placement],
        'SELECT id FROM places WHERE tenant_id = $1 AND name = $2',
        [fixture[placement].id, name],
      )
    const keys = () =>
      query<{ key: string }>(databases[placement], 'SELECT key FROM idempotency_keys WHERE tenant_id = $1', [
        fixture[placement].id,
      ])

    test('is done once, and answered each time with the same bytes', async () => {
      const name = randomUUID()
      const body = { name, address: { line1: 'Mill Lane', country: 'NL' }, latitude: 52.5 }
      const first = await post(fixture[placement], name, body)
      expect([first.status, first.headers.get('idempotency-replayed')]).toEqual([201, null])
      for (const again of [body, { latitude: 52.5, address: { country: 'NL', line1: 'Mill Lane' }, name }]) {
        const answer = await post(fixture[placement], name, again)
        expect([answer.status, answer.text]).toEqual([201, first.text])
        for (const header of ['etag', 'location', 'content-type'])
          expect(answer.headers.get(header)).toBe(first.headers.get(header))
        expect(answer.headers.get('idempotency-replayed')).toBe('true')
      }
      expect(await rows(name)).toEqual([{ id: first.body.id }])
    })

    test('gets the first answer again, also when the row was changed or deleted since', async () => {
      const name = randomUUID()
      const first = await post(fixture[placement], name, { name })
      const path = `${API}/places/${first.body.id}`
      await fixture.gateway.call('DELETE', path, { token: fixture[placement].token })
      expect((await post(fixture[placement], name, { name })).text).toBe(first.text)
      expect(await rows(name)).toEqual([])
    })

    test('with another body or path under the same key is refused, and changes nothing', async () => {
      const name = randomUUID()
      const { body: place } = await post(fixture[placement], name, { name })
      const other = [
        await post(fixture[placement], name, { name: `${name} other` }),
        await post(fixture[placement], name, { name, placeId: place.id }, 'estates'),
      ]
      for (const answer of other) expectProblem(answer, { status: 409, code: 'IDEMPOTENCY_MISMATCH' })
      expect(await rows(`${name} other`)).toEqual([])
    })

    test('that failed stores nothing, so it can be tried again', async () => {
      const name = randomUUID()
      const before = await keys()
      const missing = await post(fixture[placement], name, { name, placeId: randomUUID() }, 'estates')
      expectProblem(missing, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/placeId'] })
      expect(await keys()).toEqual(before)
      expect((await post(fixture[placement], name, { name })).status).toBe(201)
    })

    test('sent many times at once is done once, and all requests get its answer', async () => {
      const name = randomUUID()
      const answers = await Promise.all(
        Array.from({ length: 8 }, () => post(fixture[placement], name, { name })),
      )
      expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(201))
      expect(new Set(answers.map(({ text }) => text)).size).toBe(1)
      const replayed = answers.filter(({ headers }) => headers.get('idempotency-replayed') === 'true')
      expect([replayed.length, (await rows(name)).length]).toEqual([7, 1])
    })

    test('waits for the running one, and is done itself if that one fails', async () => {
      const name = randomUUID()
      const first = await post(fixture[placement], name, { name })
      const table = await query<{ key: string }>(
        databases[placement],
        `SELECT key FROM idempotency_keys WHERE tenant_id = $1 AND body->>'id' = $2`,
        [fixture[placement].id, first.body.id],
      )
      const key = table[0]?.key
      // Another request holds the row of the key, and releases it without having done anything.
      await withClient(databases[placement], async (other) => {
        await other.query('BEGIN')
        await other.query('DELETE FROM idempotency_keys WHERE key = $1', [key])
        const second = post(fixture[placement], name, { name })
        const waiting = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'
        AND query LIKE '%idempotency_keys%'`
        await expect.poll(() => query(databases[placement], waiting)).toHaveLength(1)
        await other.query('COMMIT')
        expect((await second).headers.get('idempotency-replayed')).toBeNull()
      })
      expect(await rows(name)).toHaveLength(2)
    })

    test('is forgotten after a day, and new keys remove old ones', async () => {
      const name = randomUUID()
      await post(fixture[placement], name, { name })
      const [found] = await query<{ hours: number }>(
        databases[placement],
        `SELECT max(extract(epoch FROM expires_at - created_at) / 3600)::int AS hours FROM idempotency_keys
       WHERE tenant_id = $1`,
        [fixture[placement].id],
      )
      expect(found?.hours).toBe(24)
      const age = `UPDATE idempotency_keys SET expires_at = now() - interval '1 second' WHERE tenant_id = $1`
      await query(databases[placement], age, [fixture[placement].id])
      const again = await post(fixture[placement], name, { name })
      expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([201, null])
      expect(await rows(name)).toHaveLength(2)
      for (let i = 0; i < 3; i++) await post(fixture[placement], randomUUID(), { name })
      await query(databases[placement], age, [fixture[placement].id])
      const old = (await keys()).length
      await post(fixture[placement], randomUUID(), { name })
      expect((await keys()).length).toBe(Math.max(1, old - 5 + 1))
    })

    test('of another principal under the same key is another request', async () => {
      const name = randomUUID()
      const made = await fixture.gateway.call('POST', `${API}/client-keys`, {
        token: fixture[placement].token,
        body: { name: 'import', permissions: ['properties:read', 'properties:write'] },
      })
      const mine = await post(fixture[placement], name, { name })
      const headers = {
        'x-client-key': made.body.key,
        'x-tenant-code': fixture[placement].code,
        'idempotency-key': name,
      }
      const theirs = await fixture.gateway.call('POST', `${API}/places`, { headers, body: { name } })
      expect([theirs.status, theirs.headers.get('idempotency-replayed')]).toEqual([201, null])
      expect(theirs.body.id).not.toBe(mine.body.id)
    })

    test('of another tenant under the same key is another request', async () => {
      const name = randomUUID()
      await post(fixture[placement], name, { name })
      const answer = await post(fixture.other, name, { name })
      expect([answer.status, answer.headers.get('idempotency-replayed')]).toEqual([201, null])
    })

    test('without a key is done each time', async () => {
      const name = randomUUID()
      const before = await keys()
      await Promise.all([post(fixture[placement], null, { name }), post(fixture[placement], null, { name })])
      expect(await rows(name)).toHaveLength(2)
      expect(await keys()).toEqual(before)
    })
  },
)

describe('a key', () => {
  test.each(['x', ' inner space ok', '~!@#$%^&*()', 'k'.repeat(255)])('may be %j', async (key) => {
    expect((await post(fixture.shared, key, { name: 'n' })).status).toBe(201)
  })

  test.each(['', 'k'.repeat(256), 'é', 'a\tb'])('may not be %j', async (key) => {
    const answer = await post(fixture.shared, key, { name: 'n' })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/idempotency-key'] })
  })
})
