import fastify from 'fastify'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { RESOURCES } from '../../src/applications/property/resources.ts'
import type { Resource } from '../../src/collections/define-resource.ts'
import type { ListQuery } from '../../src/collections/query.ts'
import type { Reach } from '../../src/collections/statement.ts'
import { newId } from '../../src/lib/ids.ts'
import { tenantCheckOf } from '../../src/sql/current-route.ts'
import type { Lane } from '../../src/sql/lanes/lane.ts'
import { runStatement } from '../../src/sql/run-statement.ts'
import { askOn, closeClients, connectGuarded, openPatientLane } from '../support/asked-unit.ts'
import { makeCursors } from '../support/cursors.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { EDGES, SAMPLES_DDL, sampleResource, samples } from '../support/every-type.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf, withClient } from '../support/tenant-database.ts'

const CURSORS = makeCursors()

let database: Awaited<ReturnType<typeof createTenantDatabase>>
let tenantId: string

beforeAll(async () => {
  database = await createTenantDatabase()
  await withClient(database.url, (client) => client.query(SAMPLES_DDL))
  tenantId = await moveIn(database.url)
  await insertEdges()
})
afterEach(closeClients)
afterAll(dropAll)

/** One row for each value, and one without any. */
async function insertEdges(): Promise<void> {
  let order = 0
  const rows = Object.entries(EDGES).flatMap(([column, values]) =>
    values.map((value) => [column, value] as const),
  )
  const inserts = [['c_text', 'NULL'] as const, ...rows].map(([column, value]) => {
    order += 1
    return `INSERT INTO samples (tenant_id, id, "order", ${column}) VALUES ('${tenantId}', '${newId()}', ${order}, ${value});`
  })
  await query(superuserUrl(database.database), inserts.join('\n'))
}

const connect = () => connectGuarded(addressOf(database.url))

/** Runs a collection's reads on a lane. Each must ride one. */
function onLane(lane: Lane): Reach {
  return {
    tenantId,
    run: async ({ wire, values }) => {
      if (wire === undefined) throw new Error('a read that no lane takes')
      const unit = askOn(lane, { tenantId, statement: wire, values })
      const why = await unit.over
      if (why !== null) throw new Error(`no answer: ${why}`)
      return { rows: unit.rows } as never
    },
  }
}

function byPg(client: pg.ClientBase): Reach {
  const options = { tenantCheck: tenantCheckOf(routeOf(tenantId)), begin: false, writes: false }
  return { tenantId, run: (statement) => runStatement(client, statement, options) }
}

async function bothWays(): Promise<readonly [pg: Reach, lane: Reach]> {
  return [byPg(await connect()), onLane(await openPatientLane(await connect()))]
}

/** Writes answers with the serializer that the gateway uses. */
async function createWriter(schema: object): Promise<(answer: unknown) => Promise<string>> {
  const app = fastify()
  let answer: unknown
  app.get('/', { schema: { response: { 200: schema } } }, () => answer)
  await app.ready()
  return async (given) => {
    answer = given
    const { body, statusCode } = await app.inject('/')
    return `${statusCode} ${body}`
  }
}

async function expectSame(resource: Resource, query: ListQuery): Promise<number> {
  const [one, other] = await bothWays()
  const [byDriver, byLane] = [
    await resource.list(one, query, CURSORS),
    await resource.list(other, query, CURSORS),
  ]
  expect(byLane).toStrictEqual(byDriver)
  expect(JSON.stringify(byLane)).toBe(JSON.stringify(byDriver))
  const written = await createWriter(resource.schemas.list)
  expect(await written(byLane)).toBe(await written(byDriver))
  const writtenRow = await createWriter(resource.schemas.row)
  for (const { id } of byDriver.data) {
    const [found, foundToo] = [await resource.find(one, id), await resource.find(other, id)]
    expect(foundToo).toStrictEqual(found)
    expect(await writtenRow(foundToo.row)).toBe(await writtenRow(found.row))
  }
  return byDriver.data.length
}

describe('a row is the same by pg and on a lane', () => {
  test('at the edges of each type', async () => {
    const wanted = Object.values(EDGES).flat().length + 1
    expect(await expectSame(sampleResource, { limit: 200, sort: 'order' })).toBe(wanted)
    // Every declared column is there, with a value of its own.
    const columns = Object.values(samples).flatMap((column) =>
      column?.name?.startsWith('c_') ? [column.name] : [],
    )
    expect(columns.toSorted()).toEqual(Object.keys(EDGES).toSorted())
  })

  test.each<ListQuery>([
    ...[{ cText: 'ünï ☃ 🙂' }, { cText: '' }, { cVarchar: 'null' }, { cChar: 'ab' }, { cInteger: -1 }],
    ...[{ cSmallint: 32_767 }, { cNumeric: '0.1' }, { cBoolean: true }, { cDate: '2026-01-31' }],
    ...[
      { cMoment: '2026-01-31T10:00:00Z' },
      { cUuid: '00000000-0000-0000-0000-000000000000' },
      { cMood: 'good' },
    ],
  ])('with a filter by %o', async (filter) => {
    expect(await expectSame(sampleResource, filter)).toBeGreaterThan(0)
  })

  test.each(['order', '-order', 'createdAt', '-createdAt'])('page by page, in order of %s', async (sort) => {
    const [one, other] = await bothWays()
    let cursor: string | undefined
    let pages = 0
    do {
      const query = { limit: 40, sort, ...(cursor !== undefined && { cursor }) }
      const [byDriver, byLane] = [
        await sampleResource.list(one, query, CURSORS),
        await sampleResource.list(other, query, CURSORS),
      ]
      expect(byLane).toStrictEqual(byDriver)
      cursor = byDriver.nextCursor ?? undefined
      pages += 1
    } while (cursor !== undefined)
    expect(pages).toBeGreaterThan(2)
  })
})

/** A value that a filter of this schema takes. */
function sampleOf(schema: { type?: string; enum?: unknown[]; format?: string }): unknown {
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.format === 'uuid') return newId()
  if (schema.format === 'date') return '2026-01-31'
  if (schema.format === 'date-time') return '2026-01-31T10:00:00Z'
  return { integer: 1, number: 1.5, boolean: true }[schema.type ?? ''] ?? 'x@y.example'
}

test('every read of the property application is described as declared, so that lanes take it', async () => {
  const [one, other] = await bothWays()
  for (const resource of RESOURCES) {
    const { limit: _, cursor: _cursor, sort, ...filters } = resource.schemas.listQuery.properties
    const orders = (sort as unknown as { enum: string[] }).enum
    const queries: ListQuery[] = [
      ...orders.map((order) => ({ sort: order })),
      ...Object.entries(filters).map(([name, schema]) => ({ [name]: sampleOf(schema as object) })),
    ]
    for (const query of queries)
      expect(await resource.list(other, query, CURSORS)).toStrictEqual(
        await resource.list(one, query, CURSORS),
      )
    await expect(resource.find(other, newId())).rejects.toMatchObject({ code: 'NOT_FOUND' })
  }
})
