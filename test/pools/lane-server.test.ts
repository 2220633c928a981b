import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../../src/lib/ids.ts'
import { takeOver } from '../../src/lib/wire/take-over.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { readTenantMigrations } from '../../src/migrations/files.ts'
import { Lane } from '../../src/sql/lanes/lane.ts'
import { openLane } from '../../src/sql/lanes/open-lane.ts'
import type { Declared } from '../../src/sql/wire/wire-statement.ts'
import { property } from '../support/application.ts'
import {
  type AskedUnit,
  askOn,
  closeClients,
  connectGuarded,
  openPatientLane,
} from '../support/asked-unit.ts'
import { dropAll, query, superuserUrl, terminateBackends } from '../support/database.ts'
import { addressOf, createTenantDatabase, moveIn, withClient } from '../support/tenant-database.ts'
import { makeCertificate, startTlsServer } from '../support/tls-server.ts'
import { statementOf } from '../support/wire-world.ts'

let database: Awaited<ReturnType<typeof createTenantDatabase>>
let tenants: string[]

const FIND = statementOf(
  'SELECT n.label AS "label" FROM notes AS n WHERE n.id = $1 ORDER BY n.label',
  declared('label', 'integer'),
)
const WAIT = statementOf('SELECT pg_sleep($1)::text AS "slept"', declared('slept', 'double precision'))

/** One column of text, and one parameter. */
function declared(name: string, parameter: string): Declared {
  return { columns: [{ name, type: 'text' }], parameters: [parameter] }
}

beforeAll(async () => {
  database = await createTenantDatabase()
  tenants = [await moveIn(database.url), await moveIn(database.url), await moveIn(database.url)]
})
afterEach(async () => {
  closeClients()
  await withClient(database.url, (client) => client.query('DROP TABLE IF EXISTS notes'))
})
afterAll(dropAll)

async function createNotes(): Promise<void> {
  await withClient(database.url, (client) =>
    client.query(`
      CREATE TABLE notes (tenant_id uuid NOT NULL, id integer NOT NULL, label text NOT NULL, PRIMARY KEY (tenant_id, id));
      SELECT public.freehold_protect('public.notes')`),
  )
  const rows = tenants.flatMap((tenantId) =>
    Array.from({ length: 20 }, (_, id) => `('${tenantId}', ${id}, 'note ${id} of ${tenantId}')`),
  )
  await query(superuserUrl(database.database), `INSERT INTO notes VALUES ${rows.join(', ')}`)
}

const connect = () => connectGuarded(addressOf(database.url))

async function open(limitMs?: number): Promise<Lane> {
  return openPatientLane(await connect(), limitMs)
}

function findOn(lane: Lane, id: number, tenantId = tenants[0] as string): AskedUnit {
  return askOn(lane, { tenantId, statement: FIND, values: [id] })
}

const labelOf = (id: number, tenantId = tenants[0] as string) => [{ label: `note ${id} of ${tenantId}` }]

describe('a lane to a real server', () => {
  test('gives ten thousand pipelined units of many tenants their own rows', async () => {
    await createNotes()
    const lane = await open()
    for (let round = 0; round < 500; round += 1) {
      const units = Array.from({ length: 20 }, (_, id) => findOn(lane, id, tenants[(id + round) % 3]))
      for (const [id, unit] of units.entries()) {
        expect(await unit.over).toBeNull()
        expect(unit.rows).toEqual(labelOf(id, unit.tenantId))
      }
    }
  })

  test('refuses a tenant that does not live there, and nothing of it leaks to the next', async () => {
    await createNotes()
    const lane = await open()
    const units = [
      findOn(lane, 1),
      findOn(lane, 1, newId()),
      findOn(lane, 2, tenants[1]),
      findOn(lane, 1, newId()),
    ]
    expect(await Promise.all(units.map(({ over }) => over))).toEqual([null, 'refused', null, 'refused'])
    expect(units.map(({ refusal }) => refusal)).toEqual([null, 'FH001', null, 'FH001'])
    expect(units.map(({ answer }) => answer)).toEqual([labelOf(1), null, labelOf(2, tenants[1]), null])
  })

  test('ends a slow statement by its own time limit, and the units behind it are answered', async () => {
    await createNotes()
    const lane = await open(300)
    const slow = askOn(lane, { tenantId: tenants[0] as string, statement: WAIT, values: [3] })
    const behind = findOn(lane, 3)
    expect([await slow.over, await behind.over]).toEqual(['limit', null])
    expect(behind.rows).toEqual(labelOf(3))
  })

  test('waits for no lock, and prepares the statement later', async () => {
    await createNotes()
    const lane = await open(300)
    await withClient(database.url, async (client) => {
      await client.query('BEGIN; LOCK TABLE notes')
      const [unit, behind] = [findOn(lane, 1), findOn(lane, 1)]
      expect([await unit.over, await behind.over]).toEqual(['limit', 'refused'])
      expect(lane.isServing).toBe(true)
    })
    const later = findOn(lane, 1)
    expect([await later.over, later.rows]).toEqual([null, labelOf(1)])
  })

  test('prepares a statement again when its table has come', async () => {
    const lane = await open()
    const early = findOn(lane, 1)
    expect([await early.over, early.refusal]).toEqual(['refused', '42P01'])
    await createNotes()
    const later = findOn(lane, 1)
    expect([await later.over, later.rows]).toEqual([null, labelOf(1)])
  })

  test('ends when a column has got another type, and a new lane leaves the statement to pg', async () => {
    await createNotes()
    const lane = await open()
    expect(await findOn(lane, 1).over).toBeNull()
    await withClient(database.url, (client) =>
      client.query('ALTER TABLE notes ALTER label TYPE varchar(200), ADD more integer'),
    )
    const stale = findOn(lane, 1)
    expect([await stale.over, stale.refusal]).toEqual(['outdated', '0A000'])
    await lane.over
    const unfit = findOn(await open(), 1)
    expect([await unfit.over, unfit.rows]).toEqual(['unfit', []])
  })

  test('goes on when a column was added', async () => {
    await createNotes()
    const lane = await open()
    expect(await findOn(lane, 1).over).toBeNull()
    await withClient(database.url, (client) => client.query('ALTER TABLE notes ADD more integer'))
    const unit = findOn(lane, 1)
    expect([await unit.over, unit.rows]).toEqual([null, labelOf(1)])
  })

  test('ends when the server does not hold its statements', async () => {
    await createNotes()
    const lane = new Lane(takeOver(await connect()), 0)
    const [unit, behind] = [findOn(lane, 1), findOn(lane, 2)]
    expect([await unit.over, unit.refusal, await behind.over]).toEqual(['outdated', '26000', 'outdated'])
    expect(lane.isServing).toBe(false)
    await lane.over
  })

  test('tells each unit once when its backend is killed, and none gets the rows of another', async () => {
    await createNotes()
    for (let round = 0; round < 20; round += 1) {
      const lane = await open()
      const units = Array.from({ length: 40 }, (_, n) => findOn(lane, n % 20, tenants[n % 3]))
      const [, ended] = await Promise.all([
        delay(round % 4).then(() => terminateBackends(database.database)),
        Promise.all(units.map(({ over }) => over)),
      ])
      await lane.over
      for (const [n, unit] of units.entries()) {
        expect(unit.endings).toHaveLength(1)
        expect(['answered', 'lost']).toContain(unit.endings[0])
        expect(unit.answer).toEqual(ended[n] === null ? labelOf(n % 20, unit.tenantId) : null)
      }
      closeClients()
    }
  })

  test('reads an answer of some megabytes, and ends with a larger one', async () => {
    const repeat = statementOf('SELECT repeat(\'x\', $1) AS "long"', declared('long', 'integer'))
    const lane = await open()
    const ask = (bytes: number) =>
      askOn(lane, { tenantId: tenants[0] as string, statement: repeat, values: [bytes] })
    const [large, behind] = [ask(4_000_000), ask(10)]
    expect([await large.over, await behind.over]).toEqual([null, null])
    expect(large.rows).toEqual([{ long: 'x'.repeat(4_000_000) }])
    const [tooLarge, lost] = [ask(20_000_000), ask(10)]
    expect([await tooLarge.over, await lost.over]).toEqual(['large', 'lost'])
    expect(tooLarge.answer).toBeNull()
  })

  test('leaves its connection to pg again and again, and takes it over again', async () => {
    await createNotes()
    const client = await connect()
    const stream = Reflect.get(Reflect.get(client, 'connection'), 'stream') as NodeJS.EventEmitter
    const listeners = () => new Map(stream.eventNames().map((name) => [name, stream.listenerCount(name)]))
    const before = listeners()
    for (let round = 0; round < 20; round += 1) {
      const lane = await openLane(client)
      const unit = findOn(lane, round)
      expect(['answered', 'limit']).toContain((await unit.over) ?? 'answered')
      lane.giveBack()
      await lane.over
      expect(lane.handBack()).toBe(true)
      const { rows } = await client.query('SELECT $1::int4 AS round', [round])
      expect(rows).toEqual([{ round }])
    }
    expect(listeners()).toEqual(before)
  })
})

test('a lane rides TLS', async () => {
  const { authority, server: certificate } = await makeCertificate('lanes')
  const server = await startTlsServer(certificate, 'hostssl all all 127.0.0.1/32 scram-sha-256')
  try {
    const migrations = await readTenantMigrations(property)
    await withClient(server.superuserUrl, (client) =>
      applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }),
    )
    const tenantId = await moveIn(server.superuserUrl)
    const address = addressOf(server.superuserUrl, { sslMode: 'verify-full', caCertificate: authority })
    const lane = await openPatientLane(await connectGuarded(address))
    const echo = statementOf('SELECT $1::text AS "said"', declared('said', 'text'))
    const units = Array.from({ length: 200 }, (_, n) => {
      const values = [`${n}`.padEnd(n % 20 === 0 ? 300_000 : 10, 'x')]
      return askOn(lane, { tenantId, statement: echo, values })
    })
    for (const unit of units) {
      expect(await unit.over).toBeNull()
      expect(unit.rows).toEqual([{ said: unit.values[0] }])
    }
  } finally {
    closeClients()
    await server.dispose()
  }
})
