import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, openFixture, UNKNOWN_ID } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
  await Promise.all([fixture.shared, fixture.dedicated, fixture.other].map(furnish))
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const NAMES = ['Delta', 'alpha', 'Bravo', 'Échelle', 'Bravo', 'Zulu', 'Charlie']

/** One after the other, so that the order of creation is known. */
async function furnish(tenant: TestTenant): Promise<void> {
  for (const [index, name] of NAMES.entries()) {
    const body = { name, ...(index < 3 && { kind: 'land' }) }
    const { status, text } = await fixture.gateway.call('POST', `${API}/places`, {
      token: tenant.token,
      body,
    })
    expect(status, text).toBe(201)
  }
}

const get = (tenant: TestTenant, path: string) =>
  fixture.gateway.call('GET', path.startsWith('/') ? path : `${API}/${path}`, { token: tenant.token })

const namesOf = (rows: { name: string }[]) => rows.map(({ name }) => name)

/** Follows `Link` to the end. */
async function walk(tenant: TestTenant, path: string): Promise<{ name: string }[][]> {
  const pages = []
  for (let next: string | null = path; next !== null; ) {
    const { status, body, headers, text } = await get(tenant, next)
    expect(status, text).toBe(200)
    expect(Object.keys(body)).toEqual(['data', 'nextCursor'])
    pages.push(body.data)
    const link: string | null = headers.get('link')
    next = link === null ? null : (/^<(\/[^>]+)>; rel="next"$/.exec(link)?.[1] ?? 'no target')
    expect(next === null ? null : new URL(next, 'http://x').searchParams.get('cursor')).toBe(body.nextCursor)
  }
  return pages
}

describe.each(['shared', 'dedicated'] as const)('a list of a tenant in a %s database', (placement) => {
  describe('200', () => {
    test('is in the order of creation, has at most fifty rows, and ends with null and no Link', async () => {
      const { body, headers } = await get(fixture[placement], 'places')
      expect([namesOf(body.data), body.nextCursor, headers.get('link')]).toEqual([NAMES, null, null])
    })

    test.each([1, 2, 3, 6, 7, 200])('shows every row once in pages of %i', async (limit) => {
      const pages = await walk(fixture[placement], `places?limit=${limit}`)
      expect(namesOf(pages.flat())).toEqual(NAMES)
      expect(pages.slice(0, -1).every((page) => page.length === limit)).toBe(true)
      expect(pages.length).toBe(Math.ceil(NAMES.length / limit))
    })

    test.each([
      ['createdAt', NAMES],
      ['-createdAt', NAMES.toReversed()],
    ])('is sorted by %s across pages', async (sort, names) => {
      expect(namesOf((await walk(fixture[placement], `places?limit=2&sort=${sort}`)).flat())).toEqual(names)
    })

    test('is sorted by name in both directions, with equal names in a stable order', async () => {
      const up = (await walk(fixture[placement], 'places?limit=2&sort=name')).flat()
      const down = (await walk(fixture[placement], 'places?limit=3&sort=-name')).flat()
      expect(namesOf(up).toSorted()).toEqual(NAMES.toSorted())
      expect(down).toEqual(up.toReversed())
      const whole = await get(fixture[placement], 'places?sort=name')
      expect(up).toEqual(whole.body.data)
    })

    test('is filtered by fields, and keeps the filter from page to page', async () => {
      const land = await walk(fixture[placement], 'places?kind=land&limit=2&sort=-createdAt')
      expect(namesOf(land.flat())).toEqual(['Bravo', 'alpha', 'Delta'])
      const both = await get(fixture[placement], 'places?kind=land&name=Bravo')
      expect(both.body.data).toHaveLength(1)
      expect((await get(fixture[placement], 'places?name=bravo')).body).toEqual({
        data: [],
        nextCursor: null,
      })
    })

    test('shows rows as single reads do, and no field of the tenant', async () => {
      const { body } = await get(fixture[placement], 'places?limit=1')
      expect((await get(fixture[placement], `places/${body.data[0].id}`)).body).toEqual(body.data[0])
      expect(JSON.stringify(body)).not.toContain(fixture[placement].id)
    })

    test('is empty for a parent of another tenant, as for one that does not exist', async () => {
      const { body } = await get(fixture.other, 'places?limit=1')
      for (const id of [body.data[0].id, UNKNOWN_ID]) {
        const estates = await get(fixture[placement], `estates?placeId=${id}`)
        expect([estates.status, estates.body]).toEqual([200, { data: [], nextCursor: null }])
      }
    })

    test('keeps its cursors valid while rows are created and deleted', async () => {
      const first = await get(fixture[placement], 'places?limit=3&sort=name')
      const made = await fixture.gateway.call('POST', `${API}/places`, {
        token: fixture[placement].token,
        body: { name: '000' },
      })
      const rest = await get(fixture[placement], first.headers.get('link')?.slice(1).split('>')[0] ?? '')
      await fixture.gateway.call('DELETE', `${API}/places/${made.body.id}`, {
        token: fixture[placement].token,
      })
      const ids = [...first.body.data, ...rest.body.data].map(({ id }) => id)
      expect(new Set(ids).size).toBe(ids.length)
      expect(ids).not.toContain(made.body.id)
    })
  })

  describe('400', () => {
    test.each([
      ['limit=0', '/limit'],
      ['limit=201', '/limit'],
      ['limit=x', '/limit'],
      ['limit=1e400', '/limit'],
      ['limit=1.5', '/limit'],
      ['limit=1&limit=2', '/limit'],
      ['cursor=', '/cursor'],
      ['sort=colour', '/sort'],
      ['sort=--name', '/sort'],
      ['sort=kind', '/sort'],
      ['kind=castle', '/kind'],
      ['offset=10', '/offset'],
      ['tenantId=x', '/tenantId'],
      ['tenant_id=x', '/tenant_id'],
      ['latitude=1', '/latitude'],
    ])('%s is refused', async (query, pointer) => {
      const answer = await get(fixture[placement], `places?${query}`)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
    })

    test('the own tenant as a filter is refused too', async () => {
      const answer = await get(fixture[placement], `estates?tenantId=${fixture[placement].id}`)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/tenantId'] })
    })

    test.each(['x', 'AAAA', UNKNOWN_ID, '%00', 'x'.repeat(500)])('a cursor %s is refused', async (cursor) => {
      const answer = await get(fixture[placement], `places?cursor=${cursor}`)
      const code = cursor === '%00' ? 'VALIDATION_FAILED' : 'INVALID_CURSOR'
      expect([answer.status, answer.body.code]).toEqual([400, code])
    })

    test('a cursor is refused in another list, order, filter or tenant', async () => {
      const { body } = await get(fixture[placement], 'places?limit=2')
      const cursor = body.nextCursor
      const invalid = { status: 400, code: 'INVALID_CURSOR' }
      for (const path of ['estates', 'places?sort=name', 'places?sort=-createdAt', 'places?kind=land']) {
        const joined = `${path}${path.includes('?') ? '&' : '?'}cursor=${cursor}`
        expectProblem(await get(fixture[placement], joined), invalid)
      }
      expectProblem(await get(fixture.other, `places?cursor=${cursor}`), invalid)
      const changed = `${cursor.slice(0, -1)}${cursor.endsWith('A') ? 'B' : 'A'}`
      expectProblem(await get(fixture[placement], `places?cursor=${changed}`), invalid)
      // Another page size belongs to the same list.
      expect((await get(fixture[placement], `places?limit=5&cursor=${cursor}`)).status).toBe(200)
    })
  })
})
