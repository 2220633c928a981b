import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { tenants } from '../../src/catalog/schema.ts'
import { catalogErrors } from '../../src/catalog/store.ts'
import { dropAll, superuserUrl, terminateBackends } from '../support/database.ts'
import { addressOf, openCatalog, openParts, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

describe('a transaction', () => {
  it('commits as a whole, or not at all when anything throws', async () => {
    const { store } = catalog
    const insert = (code: string) => sql`
      insert into tenants (id, code, name, auth_config) values (gen_random_uuid(), ${code}, 'x', '{}')`
    await store.transaction((tx) => tx.execute(insert('kept')))
    const thrown = store.transaction(async (tx) => {
      await tx.execute(insert('lost'))
      throw new Error('changed my mind')
    })
    await expect(thrown).rejects.toThrow('changed my mind')
    const rows = await store.db.select({ code: tenants.code }).from(tenants)
    expect(rows).toEqual([{ code: 'kept' }])
  })

  it('in which the error of a statement was caught is reported as rolled back', async () => {
    const { store } = catalog
    const swallowing = store.transaction(async (tx) => {
      await tx.execute(sql`select 1 / 0`).catch(() => undefined)
    })
    await expect(swallowing).rejects.toThrow('was rolled back')
    expect((await store.transaction((tx) => tx.execute(sql`select 1 as one`))).rows).toEqual([{ one: 1 }])
  })

  it('whose connection dies is CATALOG_UNAVAILABLE, and the next one works', async () => {
    const { store, database } = catalog
    const broken = store.transaction(async (tx) => {
      await tx.execute(sql`select 1`)
      await terminateBackends(database)
      await tx.execute(sql`select 1`)
    })
    await expect(broken).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    expect((await store.transaction((tx) => tx.execute(sql`select 1 as one`))).rows).toEqual([{ one: 1 }])
  })
})

describe('errors', () => {
  it('of a statement are passed on; they are no outage', async () => {
    const { db } = catalog.store
    await expect(catalogErrors(db.execute(sql`select 1/0`))).rejects.not.toMatchObject({
      code: 'CATALOG_UNAVAILABLE',
    })
    await expect(catalogErrors(Promise.reject(new TypeError('bug')))).rejects.toThrow('bug')
  })

  it('of a server that is unreachable or refuses us are CATALOG_UNAVAILABLE', async () => {
    const good = addressOf(superuserUrl())
    const wrong = { ...good, password: async () => 'wrong' }
    for (const address of [{ ...good, port: 1 }, wrong, { ...good, database: 'nowhere' }]) {
      const lost = await openParts('nowhere', address)
      await expect(catalogErrors(lost.store.db.execute(sql`select 1`))).rejects.toMatchObject({
        code: 'CATALOG_UNAVAILABLE',
      })
      await expect(lost.store.transaction(async () => 1)).rejects.toMatchObject({
        code: 'CATALOG_UNAVAILABLE',
      })
      await expect(lost.store.ping()).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
      await lost.close()
    }
  })
})

describe('ping', () => {
  it('returns its latency', async () => {
    const { latencyMs, isReadOnly } = await catalog.store.ping()
    expect(latencyMs).toBeLessThan(1000)
    expect(isReadOnly).toBe(false)
  })

  it('gives up in time when no answer comes', async () => {
    const sockets = new Set<Socket>()
    const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    const lost = await openParts('nowhere', { ...addressOf(superuserUrl()), host: '127.0.0.1', port })
    const begun = performance.now()
    await expect(lost.store.ping(200)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    expect(performance.now() - begun).toBeLessThan(1500)
    for (const socket of sockets) socket.destroy()
    silent.close()
    await lost.close()
  })
})
