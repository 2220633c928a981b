import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, openFixture, telling, UNKNOWN_ID } from './support.ts'

interface Collection {
  readonly name: string
  /** The field that refers to the parent row, in the previous collection. */
  readonly parent: string | null
  readonly least: Record<string, unknown>
  readonly most: Record<string, unknown>
  readonly wrong: readonly (readonly [field: string, value: unknown, pointer?: string])[]
}

const COLLECTIONS: readonly Collection[] = [
  {
    name: 'places',
    parent: null,
    least: { name: 'Field' },
    most: {
      name: 'Mill “Ω” 🏠',
      kind: 'building',
      address: { line1: 'Dijk 1', line2: 'B', postalCode: '2611', city: 'Delft', country: 'NL' },
      latitude: 52.0116,
      longitude: -4.3571,
    },
    wrong: [
      ['name', ''],
      ['name', 5],
      ['name', null],
      ['name', 'x'.repeat(201)],
      ['kind', 'castle'],
      ['address', 'Delft'],
      ['address', { country: 'nl' }, '/address/country'],
      ['address', { planet: 'Earth' }, '/address/planet'],
      ['latitude', 90.1],
      ['latitude', '52'],
      ['longitude', -181],
    ],
  },
  {
    name: 'estates',
    parent: 'placeId',
    least: { name: 'Flat' },
    most: { name: 'Flat 1', floor: -1, surfaceM2: 61.5, reference: 'F-1' },
    wrong: [
      ['placeId', 'elsewhere'],
      ['placeId', null],
      ['reference', ''],
      ['surfaceM2', -1],
      ['floor', 1.5],
      ['floor', 2_147_483_648],
    ],
  },
  {
    name: 'rooms',
    parent: 'estateId',
    least: { name: 'Hall' },
    most: { name: 'Kitchen', kind: 'kitchen', surfaceM2: 12 },
    wrong: [
      ['estateId', 7],
      ['kind', true],
      ['surfaceM2', '12'],
    ],
  },
  {
    name: 'equipment',
    parent: 'roomId',
    least: { name: 'Lamp' },
    most: { name: 'Boiler', condition: 'fair', acquiredOn: '2024-02-29' },
    wrong: [
      ['roomId', 'x'],
      ['condition', 'broken'],
      ['acquiredOn', '2025-02-29'],
      ['acquiredOn', '2024-02-29T00:00:00Z'],
    ],
  },
]

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const send = (tenant: TestTenant, method: string, path: string, body?: unknown) =>
  fixture.gateway.call(method, `${API}/${path}`, { token: tenant.token, ...(body !== undefined && { body }) })

/** The reference of an estate is unique. */
function withoutReference({ reference: _reference, ...rest }: Record<string, unknown>) {
  return rest
}

/** Creates a row with its parents, and returns its id. */
async function make(tenant: TestTenant, depth: number, more: object = {}): Promise<string> {
  const { status, body, text } = await send(tenant, 'POST', COLLECTIONS[depth]?.name ?? '', {
    ...(await leastOf(tenant, depth)),
    ...more,
  })
  expect(status, text).toBe(201)
  return body.id
}

async function leastOf(tenant: TestTenant, depth: number): Promise<Record<string, unknown>> {
  const { parent, least } = COLLECTIONS[depth] ?? { parent: null, least: {} }
  return parent === null ? least : { ...least, [parent]: await make(tenant, depth - 1) }
}

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  describe.each(COLLECTIONS.map((collection, depth) => ({ ...collection, depth })))(
    '/$name',
    (collection) => {
      const { name, depth, parent, least, most, wrong } = collection
      const send_ = (method: string, path: string, body?: unknown) =>
        send(fixture[placement], method, path, body)
      const foreignId = () => make(fixture.other, depth)

      describe('201', () => {
        test('a row with every field comes back unchanged, with its Location', async () => {
          const sent = { ...(await leastOf(fixture[placement], depth)), ...most }
          const { status, body, headers } = await send_('POST', name, sent)
          expect(status).toBe(201)
          const { id, createdAt, updatedAt, ...fields } = body
          expect(fields).toEqual(sent)
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
          expect(createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
          expect(updatedAt).toBe(createdAt)
          expect(headers.get('location')).toBe(`${API}/${name}/${id}`)
          const found = await fixture.gateway.call('GET', headers.get('location') ?? '', {
            token: fixture[placement].token,
          })
          expect([found.body, found.headers.get('etag')]).toEqual([body, headers.get('etag')])
        })

        test('a field that is left out is null', async () => {
          const sent = await leastOf(fixture[placement], depth)
          const { body } = await send_('POST', name, sent)
          const { id: _id, createdAt: _createdAt, updatedAt: _updatedAt, ...fields } = body
          const nulls = Object.fromEntries(Object.keys(most).map((field) => [field, null]))
          expect(fields).toEqual({ ...nulls, ...sent })
        })
      })

      describe('200', () => {
        test('a patch changes what it names, clears with null, and moves updatedAt', async () => {
          const id = await make(fixture[placement], depth, withoutReference(most))
          const optional = Object.keys(most).find((field) => !(field in least)) ?? ''
          const before = await send_('GET', `${name}/${id}`)
          const { status, body, headers } = await send_('PATCH', `${name}/${id}`, {
            name: 'Renamed',
            [optional]: null,
          })
          expect(status).toBe(200)
          expect(body).toEqual({
            ...before.body,
            name: 'Renamed',
            [optional]: null,
            updatedAt: body.updatedAt,
          })
          expect(body.updatedAt > before.body.updatedAt).toBe(true)
          expect(headers.get('etag')).not.toBe(before.headers.get('etag'))
          expect((await send_('GET', `${name}/${id}`)).body).toEqual(body)
        })

        test('HEAD answers like GET but without a body', async () => {
          const id = await make(fixture[placement], depth)
          const [got, head] = [await send_('GET', `${name}/${id}`), await send_('HEAD', `${name}/${id}`)]
          expect([head.status, head.text]).toEqual([200, ''])
          for (const header of ['etag', 'content-type', 'content-length']) {
            expect(head.headers.get(header)).toBe(got.headers.get(header))
          }
        })
      })

      describe('204', () => {
        test('a deleted row is gone, and a second deletion is not found', async () => {
          const id = await make(fixture[placement], depth)
          const { status, text } = await send_('DELETE', `${name}/${id}`)
          expect([status, text]).toEqual([204, ''])
          for (const method of ['GET', 'DELETE']) {
            expectProblem(await send_(method, `${name}/${id}`), { status: 404, code: 'NOT_FOUND' })
          }
        })
      })

      describe('400', () => {
        test.each(wrong.map(([field, value, at = `/${field}`]) => ({ field, value, at })))(
          '$field: $value is refused in a new row and in a patch',
          async ({ field, value, at }) => {
            const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: [at] }
            const sent = { ...(await leastOf(fixture[placement], depth)), [field]: value }
            expectProblem(await send_('POST', name, sent), problem)
            expectProblem(await send_('PATCH', `${name}/${UNKNOWN_ID}`, { [field]: value }), problem)
          },
        )

        test.each(['tenantId', 'tenant_id', 'id', 'createdAt', 'etag', 'colour'])(
          'a body may not hold %s',
          async (field) => {
            const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: [`/${field}`] }
            const sent = { ...(await leastOf(fixture[placement], depth)), [field]: fixture[placement].id }
            expectProblem(await send_('POST', name, sent), problem)
            expectProblem(
              await send_('PATCH', `${name}/${UNKNOWN_ID}`, { [field]: fixture[placement].id }),
              problem,
            )
          },
        )

        test('the answer names every missing required field', async () => {
          const pointers = [...(parent === null ? [] : [`/${parent}`]), '/name']
          const answer = await send_('POST', name, {})
          expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
        })

        test('a query on a single row is refused', async () => {
          const id = await make(fixture[placement], depth)
          const answer = await send_('DELETE', `${name}/${id}?tenantId=${fixture.other.id}`)
          expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/tenantId'] })
          expect((await send_('GET', `${name}/${id}`)).status).toBe(200)
        })
      })

      describe('404', () => {
        test('a row of another tenant gets the same bytes as one that does not exist', async () => {
          const foreign = await foreignId()
          for (const [method, body] of [
            ['GET'],
            ['HEAD'],
            ['PATCH', { name: 'Mine' }],
            ['PATCH', {}],
            ['DELETE'],
          ] as const) {
            const [foreignAnswer, missingAnswer] = [
              await send_(method, `${name}/${foreign}`, body),
              await send_(method, `${name}/${UNKNOWN_ID}`, body),
            ]
            expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
            if (method !== 'HEAD') expectProblem(foreignAnswer, { status: 404, code: 'NOT_FOUND' })
          }
          const still = await send(fixture.other, 'GET', `${name}/${foreign}`)
          expect(still.body).toMatchObject({ id: foreign, name: least.name })
        })

        test.each(['1', 'x', `${UNKNOWN_ID}0`, `urn:uuid:${UNKNOWN_ID}`, "'--"])(
          'an id that no row has: %s',
          async (id) => {
            const answer = await send_('GET', `${name}/${encodeURIComponent(id)}`)
            expectProblem(answer, { status: 404, code: 'NOT_FOUND' })
          },
        )

        test.runIf(parent !== null)(
          'a parent of another tenant is answered like one that does not exist',
          async () => {
            const field = parent ?? ''
            const foreign = await make(fixture.other, depth - 1)
            const id = await make(fixture[placement], depth)
            for (const [method, path] of [
              ['POST', name],
              ['PATCH', `${name}/${id}`],
            ] as const) {
              const [foreignAnswer, missingAnswer] = [
                await send_(method, path, { ...least, [field]: foreign }),
                await send_(method, path, { ...least, [field]: UNKNOWN_ID }),
              ]
              expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
              expectProblem(foreignAnswer, {
                status: 404,
                code: 'REFERENCE_NOT_FOUND',
                pointers: [`/${field}`],
              })
            }
          },
        )
      })

      describe('409', () => {
        test.runIf(depth < 3)('a row that other rows refer to is not deleted', async () => {
          const child = await make(fixture[placement], depth + 1)
          const { name: children = '', parent: field } = COLLECTIONS[depth + 1] ?? {}
          const { body } = await send_('GET', `${children}/${child}`)
          const id = body[field ?? '']
          expectProblem(await send_('DELETE', `${name}/${id}`), { status: 409, code: 'CONFLICT' })
          expect((await send_('DELETE', `${children}/${child}`)).status).toBe(204)
          expect((await send_('DELETE', `${name}/${id}`)).status).toBe(204)
        })
      })
    },
  )

  describe('a reference of an estate', () => {
    test('is unique within its tenant only', async () => {
      const reference = 'R-1'
      await make(fixture[placement], 1, { reference })
      const other = await make(fixture[placement], 1)
      const again = { ...(await leastOf(fixture[placement], 1)), reference }
      const taken = { status: 409, code: 'CONFLICT', pointers: ['/reference'] }
      expectProblem(await send(fixture[placement], 'POST', 'estates', again), taken)
      expectProblem(await send(fixture[placement], 'PATCH', `estates/${other}`, { reference }), taken)
      // Another tenant does not learn that a tenant has this reference.
      expect(await make(fixture.other, 1, { reference: `${reference}${placement}` })).toBeTypeOf('string')
      await make(fixture[placement], 1, { reference: `${reference}${placement}` })
    })

    test('may be missing any number of times', async () => {
      await make(fixture[placement], 1, { reference: null })
      await make(fixture[placement], 1, { reference: null })
    })
  })

  test('a patch changes single parts of an address', async () => {
    const id = await make(fixture[placement], 0, { address: { line1: 'Dijk 1', city: 'Delft' } })
    const patched = await send(fixture[placement], 'PATCH', `places/${id}`, {
      address: { line1: null, country: 'NL' },
    })
    expect(patched.body.address).toEqual({ city: 'Delft', country: 'NL' })
  })

  test('a day and a number that PostgreSQL cannot store are refused and not changed', async () => {
    const item = { ...(await leastOf(fixture[placement], 3)), acquiredOn: '0000-01-01' }
    const day = await send(fixture[placement], 'POST', 'equipment', item)
    expect([day.status, day.body.code]).toEqual([400, 'VALIDATION_FAILED'])
    const huge = await send(fixture[placement], 'POST', 'places', '{"name": "x", "latitude": 1e400}')
    expect([huge.status, huge.body.code]).toEqual([400, 'VALIDATION_FAILED'])
  })
})
