import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { API, expectProblem, type Fixture, openFixture, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

describe.each(['shared', 'dedicated'] as const)('a row of a tenant in a %s database', (placement) => {
  let path: string
  let etag: string
  const send = (method: string, headers: Record<string, string> = {}, body?: unknown) =>
    fixture.gateway.call(method, path, {
      token: fixture[placement].token,
      headers,
      ...(body !== undefined && { body }),
    })
  const change = () => send('PATCH', {}, { kind: 'land' })

  beforeEach(async () => {
    const made = await fixture.gateway.call('POST', `${API}/places`, {
      token: fixture[placement].token,
      body: { name: 'Mill' },
    })
    path = made.headers.get('location') ?? ''
    etag = made.headers.get('etag') ?? ''
  })

  test('has a strong entity tag that changes only with the row', async () => {
    expect(etag).toMatch(/^"[0-9a-f]{32}"$/)
    expect((await send('GET')).headers.get('etag')).toBe(etag)
    expect((await send('PATCH', {}, {})).headers.get('etag')).toBe(etag)
    const changed = (await change()).headers.get('etag')
    expect(changed).not.toBe(etag)
    expect((await send('GET')).headers.get('etag')).toBe(changed)
  })

  describe('304', () => {
    test.each([
      ['the tag', () => etag],
      ['the tag, weak', () => `W/${etag}`],
      ['one of several', () => `"x", ${etag}`],
      ['anything', () => '*'],
    ])('If-None-Match with %s', async (_case, header) => {
      const answer = await send('GET', { 'if-none-match': header() })
      expect([answer.status, answer.text, answer.headers.get('etag')]).toEqual([304, '', etag])
    })

    test('except that If-None-Match with another or a malformed tag gives the row', async () => {
      for (const header of ['"x"', etag.slice(1, -1), ','])
        expect((await send('GET', { 'if-none-match': header })).status).toBe(200)
    })
  })

  describe('200 and 204', () => {
    test('If-Match with the tag, one of several, or * allows a write', async () => {
      expect((await send('PATCH', { 'if-match': `"x", ${etag}` }, { kind: 'land' })).status).toBe(200)
      expect((await send('PATCH', { 'if-match': '*' }, { kind: 'other' })).status).toBe(200)
      const now = (await send('GET')).headers.get('etag') ?? ''
      expect((await send('DELETE', { 'if-match': now })).status).toBe(204)
    })
  })

  describe('412', () => {
    test.each(['PATCH', 'DELETE'])('%s of an old version changes nothing', async (method) => {
      const { body: row } = await change()
      for (const header of [etag, `W/${etag}`, '"x"', 'malformed']) {
        const answer = await send(
          method,
          { 'if-match': header },
          method === 'PATCH' ? { name: 'Lost' } : undefined,
        )
        expectProblem(answer, { status: 412, code: 'PRECONDITION_FAILED' })
      }
      expect((await send('GET')).body).toEqual(row)
    })

    test.each(['PATCH', 'DELETE'])(
      '%s of a version that If-None-Match names, or of any version',
      async (method) => {
        for (const header of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
          const patch = method === 'PATCH' ? { name: 'Lost' } : undefined
          const answer = await send(method, { 'if-none-match': header }, patch)
          expectProblem(answer, { status: 412, code: 'PRECONDITION_FAILED' })
        }
        expect((await send('GET')).headers.get('etag')).toBe(etag)
        const other = await send(method, { 'if-none-match': '"x"' }, method === 'PATCH' ? {} : undefined)
        expect(other.status).toBe(method === 'PATCH' ? 200 : 204)
      },
    )

    test('also for an empty patch', async () => {
      expectProblem(await send('PATCH', { 'if-match': '"x"' }, {}), {
        status: 412,
        code: 'PRECONDITION_FAILED',
      })
    })

    test('one of many writers with the same tag succeeds', async () => {
      const writers = Array.from({ length: 8 }, (_, n) =>
        send('PATCH', { 'if-match': etag }, { name: `W${n}` }),
      )
      const statuses = (await Promise.all(writers)).map(({ status }) => status).toSorted()
      expect(statuses).toEqual([200, ...Array(7).fill(412)])
    })
  })

  describe('404', () => {
    test('is answered before any condition is checked', async () => {
      path = `${API}/places/${UNKNOWN_ID}`
      for (const method of ['PATCH', 'DELETE']) {
        const answer = await send(
          method,
          { 'if-match': etag, 'if-none-match': '*' },
          method === 'PATCH' ? { name: 'x' } : undefined,
        )
        expectProblem(answer, { status: 404, code: 'NOT_FOUND' })
      }
      expect((await send('GET', { 'if-none-match': '*' })).status).toBe(404)
    })
  })
})
