import { describe, expect, it } from 'vitest'
import { estates } from '../../../src/applications/property/properties/estates.ts'
import { places } from '../../../src/applications/property/properties/places.ts'
import { RESOURCES } from '../../../src/applications/property/resources.ts'
import { makeCursors } from '../../support/cursors.ts'
import { recorder } from './recorder.ts'

const TENANT = '0190aaaa-0000-7000-8000-00000000000a'
const ID = '0190aaaa-0000-7000-8000-000000000001'
const MOMENT = '2026-01-01T00:00:00.123456Z'
const ETAG = `left(encode(sha256(convert_to("estates"::text, 'UTF8')), 'hex'), 32)`
const FIELDS =
  '"id" as "id", "place_id" as "placeId", "name" as "name", "reference" as "reference", ' +
  '"surface_m2" as "surfaceM2", "floor" as "floor", "created_at" as "createdAt", "updated_at" as "updatedAt"'
const TAGGED = `${FIELDS}, ${ETAG} as "etag"`
const IS_ROW = (first: number) => `("estates"."tenant_id" = $${first} and "estates"."id" = $${first + 1})`
const cursors = makeCursors()
const row = { id: ID, placeId: ID, name: 'n', createdAt: MOMENT, updatedAt: MOMENT }
const tagged = { ...row, etag: 'v1' }
const failing = (code: string) => expect.objectContaining({ code })

describe('find', () => {
  it('is one select by tenant and id', async () => {
    const { session, sent } = recorder(TENANT, [tagged])
    expect(await estates.find(session, ID)).toEqual({ row, etag: 'v1' })
    expect(sent).toEqual([
      {
        text: `select ${TAGGED} from "estates" where ("estates"."tenant_id" = $1 and "estates"."id" = $2)`,
        values: [TENANT, ID],
      },
    ])
  })

  it('throws NOT_FOUND for no row', async () => {
    await expect(estates.find(recorder(TENANT).session, ID)).rejects.toThrow(failing('NOT_FOUND'))
  })
})

describe('list', () => {
  it('reads the first page in the order of creation, with one row more than it shows', async () => {
    const { session, sent } = recorder(TENANT, [row])
    expect(await estates.list(session, {}, cursors)).toEqual({ data: [row], nextCursor: null })
    expect(sent).toEqual([
      {
        text: `select ${FIELDS} from "estates" where "estates"."tenant_id" = $1 order by "estates"."created_at" asc, "estates"."id" asc limit $2`,
        values: [TENANT, 51],
      },
    ])
  })

  it('continues after the last row, with filters, in either direction', async () => {
    const { session, sent } = recorder(TENANT, [row, { ...row, id: 'other' }])
    const query = { limit: 1, sort: '-name', reference: 'r', placeId: ID }
    const { data, nextCursor } = await estates.list(session, query, cursors)
    expect(data).toEqual([row])
    await estates.list(session, { ...query, cursor: nextCursor ?? '' }, cursors)
    expect(sent[1]).toEqual({
      text:
        `select ${FIELDS} from "estates" where ("estates"."tenant_id" = $1 and "estates"."place_id" = $2 and "estates"."reference" = $3 ` +
        'and ("estates"."name", "estates"."id") < ($4, $5)) order by "estates"."name" desc, "estates"."id" desc limit $6',
      values: [TENANT, ID, 'r', 'n', ID, 2],
    })
  })

  it('refuses a cursor of another tenant, order or filter', async () => {
    const { nextCursor } = await estates.list(recorder(TENANT, [row, row]).session, { limit: 1 }, cursors)
    const cursor = nextCursor ?? ''
    const { session, sent } = recorder(TENANT)
    const refused = failing('INVALID_CURSOR')
    await expect(estates.list(session, { cursor, sort: 'name' }, cursors)).rejects.toThrow(refused)
    await expect(estates.list(session, { cursor, placeId: ID }, cursors)).rejects.toThrow(refused)
    await expect(places.list(session, { cursor }, cursors)).rejects.toThrow(refused)
    await expect(estates.list(recorder(ID).session, { cursor }, cursors)).rejects.toThrow(refused)
    expect(sent).toEqual([])
  })

  it('refuses undeclared orders and filters', async () => {
    const { session } = recorder(TENANT)
    await expect(estates.list(session, { sort: 'floor' }, cursors)).rejects.toThrow(
      failing('VALIDATION_FAILED'),
    )
    await expect(estates.list(session, { tenantId: ID }, cursors)).rejects.toThrow(
      failing('VALIDATION_FAILED'),
    )
  })
})

describe('create', () => {
  it('is one insert with the tenant and a new id', async () => {
    const { session, sent } = recorder(TENANT, [tagged])
    await estates.create(session, { placeId: ID, name: 'n' })
    const [{ text, values } = { text: '', values: [] as unknown[] }] = sent
    expect(text).toBe(
      'insert into "estates" ("tenant_id", "id", "place_id", "name", "reference", "surface_m2", "floor", "created_at", "updated_at") ' +
        `values ($1, $2, $3, $4, $5, $6, $7, default, default) returning ${TAGGED}`,
    )
    expect(values).toEqual([
      TENANT,
      expect.stringMatching(/^[\da-f]{8}-[\da-f]{4}-7/),
      ID,
      'n',
      null,
      null,
      null,
    ])
  })

  it('writes objects as JSON, and missing fields as null', async () => {
    const { session, sent } = recorder(TENANT, [tagged], [tagged])
    await places.create(session, { name: 'n', address: { city: 'Lyon' } })
    await places.create(session, { name: 'n', address: null })
    expect(sent[0]?.values).toContain('{"city":"Lyon"}')
    expect(sent[0]?.text).toContain('jsonb_strip_nulls($5)')
    expect(sent[1]?.values[4]).toBeNull()
  })
})

describe('update', () => {
  const set = ['place_id', 'name', 'reference', 'surface_m2', 'floor'].map(
    (column, at) =>
      `"${column}" = case when $${2 * at + 1} then $${2 * at + 2} else "estates"."${column}" end`,
  )

  it('is one update that leaves unnamed fields and clears those that are null', async () => {
    const { session, sent } = recorder(TENANT, [tagged])
    await estates.update(session, ID, { name: 'm', floor: null })
    expect(sent).toEqual([
      {
        text: `update "estates" set ${set.join(', ')}, "updated_at" = now() where ${IS_ROW(11)} returning ${TAGGED}`,
        values: [false, null, true, 'm', false, null, false, null, true, null, TENANT, ID],
      },
    ])
  })

  it('checks the condition in the same statement', async () => {
    const { session, sent } = recorder(TENANT, [tagged])
    await estates.update(session, ID, { name: 'm' }, '"v0", "v1"')
    expect(sent).toHaveLength(1)
    expect(sent[0]?.text).toContain(`where (${IS_ROW(11)} and ${ETAG} = any($13::text[])) returning`)
    expect(sent[0]?.values.at(-1)).toEqual(['v0', 'v1'])
  })

  it('merges the parts of an object', async () => {
    const { session, sent } = recorder(TENANT, [tagged])
    await places.update(session, ID, { address: { city: null } })
    expect(sent[0]?.text).toContain(
      `case when $5 then jsonb_strip_nulls(coalesce("places"."address", '{}') || $6) else "places"."address" end`,
    )
    expect(sent[0]?.values).toContain('{"city":null}')
  })

  it('only reads for an empty patch', async () => {
    const { session, sent } = recorder(TENANT, [tagged], [tagged])
    expect((await estates.update(session, ID, {})).row).toEqual(row)
    await expect(estates.update(session, ID, {}, '"v0"')).rejects.toThrow(failing('PRECONDITION_FAILED'))
    expect(sent.every(({ text }) => text.startsWith('select'))).toBe(true)
  })

  it('distinguishes a missing row from a changed one', async () => {
    const update = (script: unknown[][], ifMatch?: string) =>
      estates.update(recorder(TENANT, ...script).session, ID, { name: 'm' }, ifMatch)
    await expect(update([[]])).rejects.toThrow(failing('NOT_FOUND'))
    await expect(update([[]], '*')).rejects.toThrow(failing('NOT_FOUND'))
    await expect(update([[], []], '"v0"')).rejects.toThrow(failing('NOT_FOUND'))
    await expect(update([[], [tagged]], '"v0"')).rejects.toThrow(failing('PRECONDITION_FAILED'))
    await expect(update([[], [tagged]], 'nonsense')).rejects.toThrow(failing('PRECONDITION_FAILED'))
  })
})

describe('remove', () => {
  it('is one delete', async () => {
    const { session, sent } = recorder(TENANT, [{ id: ID }])
    await estates.remove(session, ID)
    expect(sent).toEqual([
      { text: `delete from "estates" where ${IS_ROW(1)} returning "id" as "id"`, values: [TENANT, ID] },
    ])
  })

  it('distinguishes a missing row from a changed one', async () => {
    const remove = (script: unknown[][], ifMatch?: string) =>
      estates.remove(recorder(TENANT, ...script).session, ID, ifMatch)
    await expect(remove([[]])).rejects.toThrow(failing('NOT_FOUND'))
    await expect(remove([[], []], '"v0"')).rejects.toThrow(failing('NOT_FOUND'))
    await expect(remove([[], [tagged]], '"v0"')).rejects.toThrow(failing('PRECONDITION_FAILED'))
  })
})

describe('every collection', () => {
  it.each(RESOURCES.map((resource) => [resource.name, resource] as const))(
    '%s names the tenant in each statement and returns it in none',
    async (_, resource) => {
      const { session, sent } = recorder(TENANT, [tagged], [tagged], [tagged], [tagged], [tagged])
      await resource.find(session, ID)
      await resource.list(session, {}, cursors)
      await resource.create(session, { name: 'n' })
      await resource.update(session, ID, { name: 'n' }, '"v1"')
      await resource.remove(session, ID, '"v1"')
      for (const { text, values } of sent) {
        expect(values).toContain(TENANT)
        expect(text).toMatch(/"tenant_id" = \$|^insert into "\w+" \("tenant_id"/)
        expect(text).not.toMatch(/as "tenant/i)
      }
      expect(JSON.stringify(resource.schemas)).not.toMatch(/tenant/i)
    },
  )
})
