import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ChangeFollower } from '../../src/catalog/changes/follower.ts'
import { RouteDirectory } from '../../src/catalog/directory.ts'
import { loadRoute } from '../../src/catalog/route-loader.ts'
import { patchTenant } from '../../src/catalog/tenants.ts'
import { newId } from '../../src/lib/ids.ts'
import { dropAll } from '../support/database.ts'
import { sealOf } from '../support/seals.ts'
import { openCatalog, operator, replicaWithoutPools, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

it('a route is read with its current database, is frozen, and contains no secret', async () => {
  const parent = await catalog.addTenant('parent')
  const tenant = await catalog.addTenant('routed', { parentId: parent.id })
  const load = loadRoute(catalog.store, sealOf)
  expect(await load({ code: 'routed' })).toMatchObject({
    tenantId: tenant.id,
    parentId: parent.id,
    epoch: 1,
    database: null,
  })
  const entry = await catalog.register(tenant.id)
  const route = await load({ id: tenant.id })
  expect(route?.database).toEqual({
    ...{
      id: entry.id,
      version: 1,
      status: 'pending_validation',
      moveRequired: false,
      host: 'db.example.com',
      port: 6543,
    },
    ...{ databaseName: 'acme_db', userName: 'owner', applicationName: null },
    ...{ sslMode: 'verify-full', caCertificate: null },
    ...{ poolSize: 10, idleTimeoutMs: 30_000, connectTimeoutMs: 5000 },
    ...{ systemIdentifier: null, databaseOid: null, handshake: {}, schemaVersion: null },
  })
  for (const part of [route, route?.database, route?.authConfig, route?.authConfig.lockout]) {
    expect(Object.isFrozen(part)).toBe(true)
  }
  expect(JSON.stringify(route)).not.toContain('s3cret')
  expect(await load({ id: newId() })).toBeNull()
  expect(await load({ code: 'unknown' })).toBeNull()
})

it('a change by one replica reaches the directory of another, and is confirmed', async () => {
  const tenant = await catalog.addTenant('watched')
  const replica = async () => {
    const directory = new RouteDirectory({
      load: loadRoute(catalog.store, sealOf),
      max: 100,
      ttlMs: 60_000,
      maxStalenessMs: 60_000,
    })
    const follower = new ChangeFollower({
      store: catalog.store,
      replicas: replicaWithoutPools(catalog.store, newId()),
      listenTarget: catalog.connect,
      log: { warn: () => undefined },
    })
    follower.onChange(({ tenantId }) => tenantId !== null && directory.invalidate(tenantId))
    follower.onGap(() => directory.clear())
    follower.onReached(() => directory.confirm())
    await follower.start()
    return { directory, follower }
  }
  const [one, two] = [await replica(), await replica()]
  expect((await two.directory.byCode('watched'))?.status).toBe('ACTIVE')
  const { seq } = await patchTenant(catalog.store, {
    id: tenant.id,
    patch: { status: 'INACTIVE' },
    actor: operator,
  })
  expect(await one.follower.confirmations(seq ?? 0, 5000)).toEqual({ replicas: 2, confirmed: 2 })
  expect((await two.directory.byCode('watched'))?.status).toBe('INACTIVE')
  await Promise.all([one.follower.stop(), two.follower.stop()])
})

it('with 10,000 tenants the queries of a request and of the sweeps use indexes', async () => {
  await catalog.store.db.execute(sql`
    insert into tenants (id, code, name, auth_config)
    select gen_random_uuid(), 'many-' || n, 'Many', '{}' from generate_series(1, 10000) n`)
  await catalog.store.db.execute(sql`analyze tenants`)
  const plan = async (query: ReturnType<typeof sql>) =>
    JSON.stringify((await catalog.store.db.execute(sql`explain ${query}`)).rows)
  const join = sql`left join tenant_databases d on d.tenant_id = t.id and d.slot = 'current'`
  expect(await plan(sql`select * from tenants t ${join} where t.code = 'many-77'`)).not.toContain(
    'Seq Scan on tenants',
  )
  expect(await plan(sql`select * from tenants where id > ${newId()} order by id limit 51`)).toContain(
    'Index Scan',
  )
})
