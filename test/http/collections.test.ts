import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { API, expectProblem, type Homes, openHomes, telling, UNKNOWN_ID } from './support.ts'

interface Collection {
  readonly name: string
  /** The field that names the row above it, in the collection before. */
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

let homes: Homes
beforeAll(async () => {
  homes = await openHomes()
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

const send = (tenant: TestTenant, method: string, path: string, body?: unknown) =>
  homes.gateway.call(method, `${API}/${path}`, { token: tenant.token, ...(body !== undefined && { body }) })

/** An estate's reference can be had once. */
function withoutReference({ reference: _reference, ...rest }: Record<string, unknown>) {
  return rest
}

/** Makes a row, with those above it, and gives its id. */
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

describe.each(['shared', 'own'] as const)('a tenant in a database that is %s', (home) => {
  describe.each(COLLECTIONS.map((collection, depth) => ({ ...collection, depth })))(
    '/$name',
    (collection) => {
      const { name, depth, parent, least, most, wrong } = collection
      const send_ = (method: string, path: string, body?: unknown) => send(homes[home], method, path, body)
      const foreignId = () => make(homes.stranger, depth)

      describe('201', () => {
        test('a row with every field comes back as it was sent, and says where it is', async () => {
          const sent = { ...(await leastOf(homes[home], depth)), ...most }
          const { status, body, headers } = await send_('POST', name, sent)
          expect(status).toBe(201)
          const { id, createdAt, updatedAt, ...fields } = body
          expect(fields).toEqual(sent)
          expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
          expect(createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/)
          expect(updatedAt).toBe(createdAt)
          expect(headers.get('location')).toBe(`${API}/${name}/${id}`)
          const found = await homes.gateway.call('GET', headers.get('location') ?? '', {
            token: homes[home].token,
          })
          expect([found.body, found.headers.get('etag')]).toEqual([body, headers.get('etag')])
        })

        test('what is left out is null', async () => {
          const sent = await leastOf(homes[home], depth)
          const { body } = await send_('POST', name, sent)
          const { id: _id, createdAt: _createdAt, updatedAt: _updatedAt, ...fields } = body
          const nulls = Object.fromEntries(Object.keys(most).map((field) => [field, null]))
          expect(fields).toEqual({ ...nulls, ...sent })
        })
      })

      describe('200', () => {
        test('a patch changes what it names, clears with null, and moves updatedAt', async () => {
          const id = await make(homes[home], depth, withoutReference(most))
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

        test('HEAD answers like GET, without a body', async () => {
          const id = await make(homes[home], depth)
          const [got, head] = [await send_('GET', `${name}/${id}`), await send_('HEAD', `${name}/${id}`)]
          expect([head.status, head.text]).toEqual([200, ''])
          for (const header of ['etag', 'content-type', 'content-length']) {
            expect(head.headers.get(header)).toBe(got.headers.get(header))
          }
        })
      })

      describe('204', () => {
        test('a row that is deleted is gone, and gone twice is not found', async () => {
          const id = await make(homes[home], depth)
          const { status, text } = await send_('DELETE', `${name}/${id}`)
          expect([status, text]).toEqual([204, ''])
          for (const method of ['GET', 'DELETE']) {
            expectProblem(await send_(method, `${name}/${id}`), { status: 404, code: 'NOT_FOUND' })
          }
        })
      })

      describe('400', () => {
        test.each(wrong.map(([field, value, at = `/${field}`]) => ({ field, value, at })))(
          '$field: $value is refused, in a new row and in a patch',
          async ({ field, value, at }) => {
            const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: [at] }
            const sent = { ...(await leastOf(homes[home], depth)), [field]: value }
            expectProblem(await send_('POST', name, sent), problem)
            expectProblem(await send_('PATCH', `${name}/${UNKNOWN_ID}`, { [field]: value }), problem)
          },
        )

        test.each(['tenantId', 'tenant_id', 'id', 'createdAt', 'etag', 'colour'])(
          'a body may not hold %s',
          async (field) => {
            const problem = { status: 400, code: 'VALIDATION_FAILED', pointers: [`/${field}`] }
            const sent = { ...(await leastOf(homes[home], depth)), [field]: homes[home].id }
            expectProblem(await send_('POST', name, sent), problem)
            expectProblem(await send_('PATCH', `${name}/${UNKNOWN_ID}`, { [field]: homes[home].id }), problem)
          },
        )

        test('every required field that is missing is named', async () => {
          const pointers = [...(parent === null ? [] : [`/${parent}`]), '/name']
          const answer = await send_('POST', name, {})
          expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
        })

        test('a query on a single row is refused', async () => {
          const id = await make(homes[home], depth)
          const answer = await send_('DELETE', `${name}/${id}?tenantId=${homes.stranger.id}`)
          expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/tenantId'] })
          expect((await send_('GET', `${name}/${id}`)).status).toBe(200)
        })
      })

      describe('404', () => {
        test('a row of another tenant is answered like one that does not exist, to the byte', async () => {
          const foreign = await foreignId()
          for (const [method, body] of [
            ['GET'],
            ['HEAD'],
            ['PATCH', { name: 'Mine' }],
            ['PATCH', {}],
            ['DELETE'],
          ] as const) {
            const [theirs, nobodys] = [
              await send_(method, `${name}/${foreign}`, body),
              await send_(method, `${name}/${UNKNOWN_ID}`, body),
            ]
            expect(telling(theirs)).toEqual(telling(nobodys))
            if (method !== 'HEAD') expectProblem(theirs, { status: 404, code: 'NOT_FOUND' })
          }
          const still = await send(homes.stranger, 'GET', `${name}/${foreign}`)
          expect(still.body).toMatchObject({ id: foreign, name: least.name })
        })

        test.each(['1', 'x', `${UNKNOWN_ID}0`, `urn:uuid:${UNKNOWN_ID}`, "'--"])(
          'there is no row %s',
          async (id) => {
            const answer = await send_('GET', `${name}/${encodeURIComponent(id)}`)
            expectProblem(answer, { status: 404, code: 'NOT_FOUND' })
          },
        )

        test.runIf(parent !== null)(
          'a parent of another tenant is like one that does not exist',
          async () => {
            const field = parent ?? ''
            const foreign = await make(homes.stranger, depth - 1)
            const id = await make(homes[home], depth)
            for (const [method, path] of [
              ['POST', name],
              ['PATCH', `${name}/${id}`],
            ] as const) {
              const [theirs, nobodys] = [
                await send_(method, path, { ...least, [field]: foreign }),
                await send_(method, path, { ...least, [field]: UNKNOWN_ID }),
              ]
              expect(telling(theirs)).toEqual(telling(nobodys))
              expectProblem(theirs, { status: 404, code: 'REFERENCE_NOT_FOUND', pointers: [`/${field}`] })
            }
          },
        )
      })

      describe('409', () => {
        test.runIf(depth < 3)('a row that others refer to stays', async () => {
          const child = await make(homes[home], depth + 1)
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
    test('is unique in the tenant, and only there', async () => {
      const reference = 'R-1'
      await make(homes[home], 1, { reference })
      const other = await make(homes[home], 1)
      const again = { ...(await leastOf(homes[home], 1)), reference }
      const taken = { status: 409, code: 'CONFLICT', pointers: ['/reference'] }
      expectProblem(await send(homes[home], 'POST', 'estates', again), taken)
      expectProblem(await send(homes[home], 'PATCH', `estates/${other}`, { reference }), taken)
      // Another tenant is not told that a tenant has it.
      expect(await make(homes.stranger, 1, { reference: `${reference}${home}` })).toBeTypeOf('string')
      await make(homes[home], 1, { reference: `${reference}${home}` })
    })

    test('may be missing any number of times', async () => {
      await make(homes[home], 1, { reference: null })
      await make(homes[home], 1, { reference: null })
    })
  })

  test('the parts of an address are patched one by one', async () => {
    const id = await make(homes[home], 0, { address: { line1: 'Dijk 1', city: 'Delft' } })
    const patched = await send(homes[home], 'PATCH', `places/${id}`, {
      address: { line1: null, country: 'NL' },
    })
    expect(patched.body.address).toEqual({ city: 'Delft', country: 'NL' })
  })

  test('a day and a number that no server keeps are refused, not stored otherwise', async () => {
    const item = { ...(await leastOf(homes[home], 3)), acquiredOn: '0000-01-01' }
    const day = await send(homes[home], 'POST', 'equipment', item)
    expect([day.status, day.body.code]).toEqual([400, 'VALIDATION_FAILED'])
    const huge = await send(homes[home], 'POST', 'places', '{"name": "x", "latitude": 1e400}')
    expect([huge.status, huge.body.code]).toEqual([400, 'VALIDATION_FAILED'])
  })
})
