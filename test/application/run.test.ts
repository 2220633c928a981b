import { setTimeout as delay } from 'node:timers/promises'
import { eq, type SQL, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Gateway, Tenant } from '../../src/index.ts'
import { createGateway, SettingsError } from '../../src/index.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { createStage, environmentOf, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { bookings as application } from './bookings/application.ts'
import { bookings, regions, rooms } from './bookings/tables.ts'

let stage: Stage
let gateway: TestGateway
let worker: Gateway
let shared: { id: string; code: string; token: string }
let own: { id: string; code: string; token: string }
const lines: { fields: object; message: string }[] = []
const AS = { actor: 'nightly-import' }

beforeAll(async () => {
  stage = await createStage({ application })
  gateway = await startGateway(stage, {}, application)
  shared = await gateway.createTenant()
  own = await gateway.createTenant()
  await moveToOwnDatabase(gateway, own.id)
  const note = (fields: object, message: string) => void lines.push({ fields, message })
  const logger = { debug: note, info: note, warn: note, error: note }
  worker = createGateway({ application, env: environmentOf(stage), logger })
  await worker.start()
})

afterAll(async () => {
  await worker?.close()
  await gateway?.close()
})

const placements = [
  ['shared', () => shared],
  ['dedicated', () => own],
] as const

describe.each(placements)('a tenant that lives %s', (_placement, tenantOf) => {
  test('is found by code and by id, with the application’s tables', async () => {
    const { id, code } = tenantOf()
    const made = await worker.tenants.run(
      code,
      async ({ db }) => db.insert(rooms).values({ name: 'Blue' }).returning(),
      AS,
    )
    expect(made).toMatchObject([{ tenantId: id, name: 'Blue', seats: 1 }])
    const found = await worker.tenants.run(id, (tenant) => roomsOf(tenant), AS)
    expect(found).toEqual(['Blue'])
  })

  test('a transaction commits as a whole or not at all', async () => {
    const { code } = tenantOf()
    const failing = worker.tenants.run(
      code,
      (tenant) =>
        tenant.transaction(async (db) => {
          await db.insert(rooms).values({ name: 'Never' })
          throw new Error('no')
        }),
      AS,
    )
    await expect(failing).rejects.toThrow('no')
    expect(await worker.tenants.run(code, roomsOf, AS)).not.toContain('Never')
  })

  test('has relations, and the tables that all tenants share', async () => {
    const { code } = tenantOf()
    const found = await worker.tenants.run(
      code,
      (tenant) =>
        tenant.transaction(async (db) => {
          const [room] = await db.insert(rooms).values({ name: 'With booking' }).returning()
          await db.insert(bookings).values({ roomId: room?.id ?? '', slot: 'monday' })
          const booking = await db.query.bookings.findFirst({ with: { room: true } })
          return { booking, regions: await db.select().from(regions).orderBy(regions.code) }
        }),
      AS,
    )
    expect(found.booking).toMatchObject({ slot: 'monday', room: { name: 'With booking' } })
    expect(found.regions.map(({ code: region }) => region)).toEqual(['north', 'south'])
  })

  test('leaves no setting of its SQL on the connection', async () => {
    const { code } = tenantOf()
    const ask = (text: SQL) =>
      worker.tenants.run(
        code,
        async ({ db }) => (await db.execute<{ mark: string | null }>(text)).rows[0]?.mark,
        AS,
      )
    expect(await ask(sql`select set_config('mark.er', 'left', false) as mark`)).toBe('left')
    for (let round = 0; round < 5; round += 1)
      expect(await ask(sql`select nullif(current_setting('mark.er', true), '') as mark`)).toBeNull()
  })

  test('has no transaction on db, and the error names the method that has', async () => {
    const begun = worker.tenants.run(
      tenantOf().code,
      async ({ db }) =>
        (db as unknown as { transaction(fn: unknown): Promise<void> }).transaction(async () => 0),
      AS,
    )
    await expect(begun).rejects.toThrow('use tenant.transaction(fn)')
  })

  test('is audited under the actor, and only if the transaction commits', async () => {
    const { id, code } = tenantOf()
    await worker.tenants.run(
      code,
      async (tenant) => {
        await tenant.transaction(async (_db, inside) => inside.audit('booking.import', { count: 2 }))
        const undone = tenant.transaction(async (_db, inside) => {
          inside.audit('booking.undone')
          throw new Error('undone')
        })
        await undone.catch(() => undefined)
      },
      AS,
    )
    await expect
      .poll(
        async () =>
          (await gateway.operator('GET', `/audit-log?tenantId=${id}&actor=nightly-import`)).body.data,
      )
      .toMatchObject([{ action: 'booking.import', actor: { type: 'system' }, after: { count: 2 } }])
  })
})

test('no tenant sees the rows of another', async () => {
  await worker.tenants.run(shared.code, ({ db }) => db.insert(rooms).values({ name: 'Mine' }), AS)
  const seen = await worker.tenants.run(own.code, roomsOf, AS)
  expect(seen).not.toContain('Mine')
  const other = (await gateway.createTenant()).code
  expect(await worker.tenants.run(other, roomsOf, AS)).toEqual([])
  const changed = await worker.tenants.run(
    other,
    ({ db }) => db.update(rooms).set({ name: 'Taken' }).returning(),
    AS,
  )
  expect(changed).toEqual([])
})

test('each runs the function in every tenant, and reports a failure without stopping', async () => {
  const seen: string[] = []
  const outcome = await worker.tenants.each(
    async (tenant) => {
      if (tenant.code === own.code) throw new Error('broken')
      seen.push(tenant.code)
      await roomsOf(tenant)
    },
    { ...AS, concurrency: 2 },
  )
  expect(outcome.failed).toMatchObject([
    { tenant: { id: own.id, code: own.code }, error: { message: 'broken' } },
  ])
  expect(outcome.succeeded).toBe(seen.length)
  expect(seen).toContain(shared.code)
  expect(lines).toContainEqual({
    fields: expect.objectContaining({ tenantId: own.id, actor: AS.actor }),
    message: 'work in a tenant failed',
  })
})

test('each runs in no more tenants at once than allowed, and begins none after an abort', async () => {
  let [now, most] = [0, 0]
  const abort = new AbortController()
  await worker.tenants.each(
    async ({ db }) => {
      now += 1
      most = Math.max(most, now)
      await db.select().from(rooms)
      now -= 1
    },
    { ...AS, concurrency: 1 },
  )
  expect(most).toBe(1)
  abort.abort()
  const none = await worker.tenants.each(async () => undefined, { ...AS, signal: abort.signal })
  expect(none).toEqual({ succeeded: 0, failed: [] })
})

test.each(['no-such-tenant', '01900000-0000-7000-8000-0000000000ff'])(
  'there is no tenant %s',
  async (name) => {
    await expect(worker.tenants.run(name, roomsOf, AS)).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  },
)

test('an inactive tenant is refused', async () => {
  const { id, code } = await gateway.createTenant()
  await gateway.operator('PATCH', `/tenants/${id}`, { status: 'INACTIVE' })
  await expect(worker.tenants.run(code, roomsOf, AS)).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
})

test.each([{}, { actor: '' }, { actor: 'x'.repeat(201) }])(
  'the actor is required: not %j',
  async (options) => {
    await expect(worker.tenants.run(shared.code, roomsOf, options as typeof AS)).rejects.toThrow(
      'actor must be',
    )
  },
)

test.each(['tenant.delete', 'user.create', 'Booking', 'booking', 'freehold-x.y'])(
  'an application’s audit entry cannot have the action %s',
  async (action) => {
    const writing = worker.tenants.run(shared.code, async (tenant) => tenant.audit(action), AS)
    await expect(writing).rejects.toThrow(TypeError)
  },
)

test('health() gives the answer of the probe', async () => {
  expect(await worker.health()).toMatchObject({
    status: 'ok',
    catalog: { status: 'ok' },
    shared: { status: 'ok' },
  })
})

test('all faults of the settings are reported at once, and no server is embedded', () => {
  const made = () => createGateway({ application, env: { PORT: 'x', LANES: 'y' } })
  expect(made).toThrow(SettingsError)
  expect(made).toThrow(/CATALOG_DATABASE_URL[\s\S]*SHARED_DATABASE_URL[\s\S]*ENCRYPTION_KEY[\s\S]*PORT/)
})

test('a value that is not an application is refused', () => {
  expect(() => createGateway({ application: { name: 'x' } as never, env: {} })).toThrow('defineApplication')
})

test('before the start and after the close work is refused, and the close waits for running work', async () => {
  const env = environmentOf(stage, { SHUTDOWN_GRACE_SECONDS: '10' })
  const quick = createGateway({ application, env, logger: silent })
  await expect(quick.tenants.run(shared.code, roomsOf, AS)).rejects.toThrow('await gateway.start()')
  await quick.start()
  const begun = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const work = quick.tenants.run(
    shared.code,
    async (tenant) => {
      begun.resolve()
      await goOn.promise
      return roomsOf(tenant)
    },
    AS,
  )
  await begun.promise
  const closed = quick.close()
  await expect.poll(() => quick.tenants.run(shared.code, roomsOf, AS).catch(String)).toContain('is closed')
  // Much longer than a close that does not wait, and much shorter than a close may take.
  expect(await Promise.race([closed, delay(1_000, 'waits')])).toBe('waits')
  goOn.resolve()
  expect(await work).toContain('Mine')
  await closed
})

const silent = { debug() {}, info() {}, warn() {}, error() {} }

async function roomsOf({ db }: Tenant): Promise<string[]> {
  const found = await db.select({ name: rooms.name }).from(rooms).where(eq(rooms.seats, 1))
  return found.map(({ name }) => name)
}
