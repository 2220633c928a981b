import { createRequire } from 'node:module'
import type { Ajv as AjvClass } from 'ajv'
import { Type } from 'typebox'
import { describe, expect, it } from 'vitest'
import { equipment } from '../../../src/applications/property/properties/equipment.ts'
import { estates } from '../../../src/applications/property/properties/estates.ts'
import { places } from '../../../src/applications/property/properties/places.ts'
import { RESOURCES } from '../../../src/applications/property/resources.ts'
import * as tables from '../../../src/applications/property/tables/properties.ts'
import { defineResource } from '../../../src/collections/define-resource.ts'
import { text, uuid } from '../../../src/lib/fields.ts'

const require = createRequire(import.meta.url)
const Ajv = require('ajv').default as typeof AjvClass
const addFormats = require('ajv-formats').default as (ajv: AjvClass) => AjvClass
const ID = '0190aaaa-0000-7000-8000-000000000001'
const strict = { allErrors: false, useDefaults: false, removeAdditional: false, strict: true } as const
const bodies = addFormats(new Ajv(strict))
const queries = addFormats(new Ajv({ ...strict, useDefaults: true, coerceTypes: true }))
const accepts = (schema: object, body: unknown) => bodies.validate(schema, body)
const acceptsQuery = (schema: object, query: unknown) => queries.validate(schema, query)

describe('a new row', () => {
  const { create } = places.schemas

  it('needs its required fields and no others', () => {
    expect(accepts(create, { name: 'n' })).toBe(true)
    expect(accepts(create, { name: 'n', kind: null, address: null, latitude: null })).toBe(true)
    expect(accepts(create, {})).toBe(false)
    expect(accepts(create, { name: null })).toBe(false)
    expect(accepts(estates.schemas.create, { name: 'n' })).toBe(false)
    expect(accepts(estates.schemas.create, { name: 'n', placeId: ID })).toBe(true)
  })

  it.each([
    { id: ID },
    { tenantId: ID },
    { tenant_id: ID },
    { createdAt: 'x' },
    { colour: 'red' },
    { address: { tenantId: ID } },
    { name: '' },
    { name: 'x'.repeat(201) },
    { name: 'a\u0000b' },
    { name: 1 },
    { name: ['n'] },
    { kind: 'castle' },
    { latitude: 90.1 },
    { longitude: -181 },
    { latitude: '1' },
    { latitude: Number.POSITIVE_INFINITY },
    { address: 'x' },
    { address: [] },
    { address: { country: 'fr' } },
    { address: { country: 'FRA' } },
    { address: { city: '' } },
  ])('of places is refused with %j', (extra) => {
    expect(accepts(create, { name: 'n', ...extra })).toBe(false)
  })

  it.each([
    { surfaceM2: -1 },
    { floor: 1.5 },
    { floor: 2 ** 31 },
    { floor: '1' },
    { placeId: 'x' },
    { placeId: `urn:uuid:${ID}` },
    { placeId: `${ID}\n` },
  ])('of estates is refused with %j', (extra) => {
    expect(accepts(estates.schemas.create, { name: 'n', placeId: ID, ...extra })).toBe(false)
  })

  it('has only days that exist', () => {
    const on = (acquiredOn: unknown) =>
      accepts(equipment.schemas.create, { name: 'n', roomId: ID, acquiredOn })
    expect([on('2024-02-29'), on(null)]).toEqual([true, true])
    expect([
      on('2023-02-29'),
      on('2024-13-01'),
      on('2024-1-1'),
      on('2024-01-01T00:00:00Z'),
      on(5),
    ]).not.toContain(true)
  })

  it('counts characters, not code units', () => {
    expect(accepts(create, { name: '🏠'.repeat(200) })).toBe(true)
  })
})

describe('a patch', () => {
  const { patch } = places.schemas

  it('may be empty, and may clear optional fields only', () => {
    expect(accepts(patch, {})).toBe(true)
    expect(accepts(patch, { kind: null, address: { city: null, country: 'FR' }, longitude: null })).toBe(true)
    expect(accepts(patch, { name: null })).toBe(false)
    expect(accepts(estates.schemas.patch, { placeId: null })).toBe(false)
    expect(accepts(patch, { id: ID })).toBe(false)
    expect(accepts(patch, [])).toBe(false)
  })
})

describe('a list query', () => {
  const { listQuery } = estates.schemas

  it('is coerced and gets its defaults', () => {
    const query = { limit: '20', placeId: ID }
    expect(acceptsQuery(listQuery, query)).toBe(true)
    expect(query).toEqual({ limit: 20, placeId: ID, sort: 'createdAt' })
  })

  it.each([
    { limit: '0' },
    { limit: '201' },
    { limit: '1.5' },
    { limit: '' },
    { limit: ['1', '2'] },
    { cursor: '' },
    { sort: 'floor' },
    { sort: '--name' },
    { sort: 'id' },
    { floor: '1' },
    { tenantId: ID },
    { placeId: 'x' },
    { name: 'a\u0000' },
  ])('is refused with %j', (query) => {
    expect(acceptsQuery(listQuery, query)).toBe(false)
  })
})

it.each(RESOURCES.map(({ name, schemas }) => [name, schemas] as const))(
  'the schemas of %s are strict JSON Schema',
  (_, schemas) => {
    for (const schema of Object.values(schemas)) expect(() => bodies.compile(schema)).not.toThrow()
  },
)

describe('a collection that does not fit its table', () => {
  const declare =
    (fields: Record<string, ReturnType<typeof text>>, more: object = {}) =>
    () =>
      defineResource({ name: 'rooms', title: 'Room', permission: 'p', table: tables.rooms, fields, ...more })
  const optional = Type.Optional
  const fields = { estateId: uuid(), name: text(9), kind: optional(text(9)), surfaceM2: optional(text(9)) }

  it('is refused at the start', () => {
    expect(declare(fields)).not.toThrow()
    expect(declare({ estateId: uuid(), name: text(9) })).toThrow('kind has no field')
    expect(declare({ ...fields, colour: text(9) })).toThrow('colour has no column')
    expect(declare({ ...fields, kind: text(9) })).toThrow('kind is required')
    expect(declare({ ...fields, name: optional(text(9)) })).toThrow('name must be required')
    expect(declare(fields, { sorts: ['kind'] })).toThrow('kind cannot be a sort key')
    expect(declare(fields, { references: { estateId: places } })).toThrow('no foreign key to places')
    expect(declare(fields, { references: { estateId: estates } })).not.toThrow()
  })
})
