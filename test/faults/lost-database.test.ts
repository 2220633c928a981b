import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databaseCalls, freshUrl } from '../http/database-calls.ts'
import { expectProblem } from '../http/support.ts'
import { createDatabase, dropAll, query, superuserUrl, terminateBackends } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { type OwnServer, startOwnServer } from '../support/second-server.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { createOwnerOn, expectUnavailable, makePlace, PLACES, register } from './support.ts'

const SLOW = { timeout: 60_000 }

let stage: Stage
let gateway: TestGateway
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '2' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const { put, get, validate, giveUp, tenantOf, places, addPlace } = databaseCalls(() => gateway)
const databaseOf = (url: string) => new URL(url).pathname.slice(1)
const catalog = () => superuserUrl(databaseOf(stage.catalogUrl))
const shared = () => superuserUrl(databaseOf(stage.sharedUrl))

async function epochOf(tenantId: string): Promise<number> {
  const [row] = await query<{ epoch: number }>(catalog(), 'SELECT epoch::int FROM tenants WHERE id = $1', [
    tenantId,
  ])
  return row?.epoch ?? 0
}

const stampIn = async (database: string, tenantId: string) => {
  const sql = 'SELECT epoch::int, state FROM residence WHERE tenant_id = $1'
  return (await query<{ epoch: number; state: string }>(superuserUrl(database), sql, [tenantId]))[0]
}

/** A tenant with a row in its dedicated database, which can be made unreachable. */
class Household {
  readonly tenant: TestTenant
  readonly url: string
  readonly proxy: TcpProxy

  private constructor(tenant: TestTenant, url: string, proxy: TcpProxy) {
    this.tenant = tenant
    this.url = url
    this.proxy = proxy
  }

  static async found(name = 'Kept'): Promise<Household> {
    const [tenant, url] = [await gateway.createTenant(), await freshUrl()]
    const proxy = await TcpProxy.start({ port: Number(new URL(url).port) })
    await register({ caller: gateway, tenantId: tenant.id, url: proxy.urlFor(url) })
    await makePlace(gateway, tenant, name)
    return new Household(tenant, url, proxy)
  }

  get database(): string {
    return databaseOf(this.url)
  }

  /** A backup of the database, restored under another name. */
  async restore(): Promise<{ url: string; database: string }> {
    // A template may have no sessions while it is copied.
    await query(superuserUrl(), `ALTER DATABASE "${this.database}" ALLOW_CONNECTIONS false`)
    await terminateBackends(this.database)
    const database = await createDatabase({ owner: new URL(this.url).username, template: this.database })
    await query(superuserUrl(), `ALTER DATABASE "${this.database}" ALLOW_CONNECTIONS true`)
    const url = new URL(this.url)
    url.pathname = `/${database}`
    return { url: url.href, database }
  }

  async breakAway(): Promise<void> {
    await this.proxy.setMode('refuse')
    this.proxy.resetConnections()
  }

  async expectInactive(): Promise<void> {
    const status = async () => (await get(this.tenant.id)).body.status
    await expect.poll(status).toBe('inactive')
  }

  async expectServed(names: string[]): Promise<void> {
    const seen = async () => {
      const { body } = await places(this.tenant)
      return body.data?.map(({ name }: { name: string }) => name).toSorted()
    }
    await expect.poll(seen).toEqual(names)
  }
}

const HOME = { status: 'active', placement: 'dedicated', moveRequired: false, candidate: null }

describe('DELETE /tenants/{id}/database?force=true', SLOW, () => {
  test('gives up a lost database: the tenant starts empty and is healthy', async () => {
    const house = await Household.found()
    const { tenant } = house
    await house.breakAway()
    await house.expectInactive()
    const before = (await get(tenant.id)).body
    const epoch = await epochOf(tenant.id)
    expectProblem(await giveUp(tenant.id, ''), { status: 409, code: 'DATABASE_IN_USE' })
    for (const query_ of ['force=true', 'force=true&confirm=', 'force=true&confirm=other']) {
      const refused = await giveUp(tenant.id, query_)
      expectProblem(refused, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/confirm'] })
    }
    expect((await get(tenant.id)).body.status).toBe('inactive')
    const health = async () => (await gateway.call('GET', '/health')).body.status
    await expect.poll(health).toBe('degraded')

    expect((await giveUp(tenant.id, `force=true&confirm=${tenant.code}`)).status).toBe(204)
    expect(await tenantOf(tenant.id)).toMatchObject({ placement: 'shared', database: null })
    expectProblem(await get(tenant.id), { status: 404, code: 'NOT_FOUND' })
    await expect.poll(health).toBe('ok')
    expect(await epochOf(tenant.id)).toBe(epoch + 1)
    expect(await stampIn(databaseOf(stage.sharedUrl), tenant.id)).toEqual({ epoch: epoch + 1, state: 'open' })

    // The audit entry names what is lost.
    const { body: audit } = await gateway.operator('GET', `/audit-log?tenantId=${tenant.id}`)
    const { database, schemaVersion } = before
    expect(audit.data).toContainEqual(
      expect.objectContaining({
        action: 'tenant.database.delete',
        after: { lost: { database, schemaVersion, lastCheckedAt: expect.stringMatching(/Z$/) } },
      }),
    )

    // The tenant is like a new one: it has no users, and a first administrator can be created.
    expect((await gateway.operator('GET', `/tenants/${tenant.id}/users`)).body.data).toEqual([])
    const admin = { ...tenant.admin, roles: ['admin'] }
    expect((await gateway.operator('POST', `/tenants/${tenant.id}/users`, admin)).status).toBe(201)
    const token = await gateway.login(tenant.code, tenant.admin)
    expect((await gateway.call('GET', PLACES, { token })).body.data).toEqual([])
    await makePlace(gateway, { ...tenant, token }, 'New')

    // The lost database comes back: it is refused, and the rows written since stay where they are.
    await house.proxy.setMode('pass')
    expect((await places({ ...tenant, token })).body.data).toHaveLength(1)
    await put(tenant.id, { connectionString: house.proxy.urlFor(house.url) })
    await gateway.waitForDatabase(tenant.id)
    expect(await tenantOf(tenant.id)).toMatchObject({ placement: 'shared' })
    expect((await places({ ...tenant, token })).body.data).toHaveLength(1)
    expect(await stampIn(house.database, tenant.id)).toEqual({ epoch, state: 'open' })
    await house.proxy.close()
  })

  test('409 while the database answers and has rows, even a copy under its name', async () => {
    const house = await Household.found()
    const { tenant } = house
    const confirmed = `force=true&confirm=${tenant.code}`
    expectProblem(await giveUp(tenant.id, confirmed), { status: 409, code: 'DATABASE_IN_USE' })
    await house.expectServed(['Kept'])
    const copy = await house.restore()
    const { database } = house
    const rename = async (from: string, to: string) => {
      await query(superuserUrl(), `ALTER DATABASE "${from}" ALLOW_CONNECTIONS false`)
      await terminateBackends(from)
      await query(superuserUrl(), `ALTER DATABASE "${from}" RENAME TO "${to}"`)
      await query(superuserUrl(), `ALTER DATABASE "${to}" ALLOW_CONNECTIONS true`)
    }
    await rename(database, `${database}_aside`)
    await rename(copy.database, database)
    expectUnavailable(await places(tenant), 'TENANT_DATABASE_UNAVAILABLE')
    expectProblem(await giveUp(tenant.id, confirmed), { status: 409, code: 'DATABASE_IN_USE' })
    await rename(database, copy.database)
    // Another, empty database cannot be compared, because the tenant database is unreachable.
    await query(superuserUrl(), `CREATE DATABASE "${database}" OWNER "${new URL(house.url).username}"`)
    expect((await giveUp(tenant.id, confirmed)).status).toBe(204)
    expect(await tenantOf(tenant.id)).toMatchObject({ placement: 'shared', database: null })
    await query(superuserUrl(), `DROP DATABASE "${database}_aside" WITH (FORCE)`)
    await house.proxy.close()
  })

  test('moves the users out of a database that holds nothing else, as without force', async () => {
    const tenant = await gateway.createTenant()
    await register({ caller: gateway, tenantId: tenant.id, url: await freshUrl() })
    expect((await giveUp(tenant.id, `force=true&confirm=${tenant.code}`)).status).toBe(204)
    expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
    expect((await places(tenant)).status).toBe(200)
  })

  test('does not bring back what former users had in the shared database', async () => {
    const house = await Household.found()
    const { tenant } = house
    const stale = 'INSERT INTO residence (tenant_id, epoch) VALUES ($1, 1)'
    await query(shared(), stale, [tenant.id])
    const person = `INSERT INTO users (tenant_id, id, email, password_hash)
      VALUES ($1, gen_random_uuid(), 'former@example.com', 'x')`
    await query(shared(), person, [tenant.id])
    await house.breakAway()
    expect((await giveUp(tenant.id, `force=true&confirm=${tenant.code}`)).status).toBe(204)
    expect((await gateway.operator('GET', `/tenants/${tenant.id}/users`)).body.data).toEqual([])
    await house.proxy.close()
  })

  test('400 for a value that is no flag, 404 for a missing tenant or database', async () => {
    const { id, code } = await gateway.createTenant()
    expectProblem(await giveUp(id, `force=perhaps&confirm=${code}`), {
      ...{ status: 400, code: 'VALIDATION_FAILED', pointers: ['/force'] },
    })
    expectProblem(await giveUp(id, `force=true&confirm=${code}`), { status: 404, code: 'NOT_FOUND' })
  })
})

describe('a database restored on another server', SLOW, () => {
  test.each(['inactive', 'not yet found to be'])(
    'takes over in one request from one that is unreachable, %s',
    async (found) => {
      const house = await Household.found()
      const { tenant } = house
      const restored = await house.restore()
      await house.breakAway()
      if (found === 'inactive') await house.expectInactive()
      const before = await epochOf(tenant.id)
      const body = await gateway.registerDatabase(tenant.id, restored.url)
      expect(body).toMatchObject({ ...HOME, database: restored.database })
      await expect.poll(async () => (await get(tenant.id)).body.lastError).toBeNull()
      await house.expectServed(['Kept'])
      await addPlace(tenant)
      expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)

      // The old database comes back. The tenant no longer lives there, and the database is not accepted as it was.
      await house.proxy.setMode('pass')
      expect(await epochOf(tenant.id)).toBe(before + 1)
      expect(await stampIn(restored.database, tenant.id)).toEqual({ epoch: before + 1, state: 'open' })
      expect(await stampIn(house.database, tenant.id)).toEqual({ epoch: before, state: 'open' })
      const again = await gateway.registerDatabase(tenant.id, house.proxy.urlFor(house.url))
      expect(again).toMatchObject({ status: 'active', database: restored.database })
      expect(again.candidate).not.toBeNull()
      await house.expectServed(['Kept', 'Kept'])
      await house.proxy.close()
    },
  )

  test('changes nothing and says why while the old one answers, and takes over once it does not', async () => {
    const house = await Household.found()
    const { tenant } = house
    const restored = await house.restore()
    await makePlace(gateway, tenant, 'Since')
    const before = await epochOf(tenant.id)
    const body = await gateway.registerDatabase(tenant.id, restored.url)
    const lastError = { code: 'IDENTITY_AMBIGUOUS', message: expect.stringContaining('copy') }
    expect(body).toMatchObject({ status: 'active', database: house.database })
    expect(body.candidate).toMatchObject({ status: 'active', moveRequired: true, lastError })
    await house.expectServed(['Kept', 'Since'])
    expect(await epochOf(tenant.id)).toBe(before)
    // A successful health check does not undo that.
    const { lastCheckedAt } = body.candidate
    const checked = async () => (await get(tenant.id)).body.candidate.lastCheckedAt
    await expect.poll(checked).not.toBe(lastCheckedAt)
    expect((await get(tenant.id)).body.candidate).toMatchObject({ moveRequired: true, lastError })

    await house.breakAway()
    expect((await validate(tenant.id)).status).toBe(202)
    const taken = async () => (await get(tenant.id)).body
    await expect.poll(taken).toMatchObject({ ...HOME, database: restored.database })
    await house.expectServed(['Kept'])
    await house.proxy.close()
  })

  test('does not take over from a server that answers but refuses the password, because others may still write to it', async () => {
    const house = await Household.found()
    const restored = await house.restore()
    const { username, password } = new URL(house.url)
    await query(superuserUrl(), `ALTER ROLE "${username}" PASSWORD 'rotated'`)
    const url = new URL(restored.url)
    url.password = 'rotated'
    const body = await gateway.registerDatabase(house.tenant.id, url.href)
    expect(body).toMatchObject({ database: house.database, candidate: { moveRequired: true } })
    await query(superuserUrl(), `ALTER ROLE "${username}" PASSWORD '${password}'`)
    await house.expectServed(['Kept'])
    await house.proxy.close()
  })

  test('is no copy if it is the same database under another name: it takes over while it serves', async () => {
    const house = await Household.found()
    const before = await epochOf(house.tenant.id)
    const body = await gateway.registerDatabase(house.tenant.id, house.url)
    expect(body).toMatchObject({ ...HOME, database: house.database, port: Number(new URL(house.url).port) })
    await house.expectServed(['Kept'])
    expect(await epochOf(house.tenant.id)).toBe(before)
    await house.proxy.close()
  })
})

describe('a backup of a whole server, whose databases have the identity of the originals', SLOW, () => {
  let original: OwnServer
  let clone: OwnServer | null = null
  beforeAll(async () => {
    original = await startOwnServer()
  })
  afterAll(async () => {
    await original?.dispose()
    await clone?.dispose()
  })

  test('is told from the original while the original serves, and takes over when it does not', async () => {
    const tenant = await gateway.createTenant()
    const { url, database } = await (await createOwnerOn(original)).createDatabase()
    await register({ caller: gateway, tenantId: tenant.id, url })
    await makePlace(gateway, tenant, 'Kept')
    clone = await original.clone()
    const read = async () => (await places(tenant)).status
    await expect.poll(read).toBe(200)
    await makePlace(gateway, tenant, 'Since')
    const port = String(clone.port)
    const copy = Object.assign(new URL(url), { port }).href
    const beside = await gateway.registerDatabase(tenant.id, copy)
    expect(beside).toMatchObject({ port: original.port, candidate: { moveRequired: true } })
    expect((await places(tenant)).body.data).toHaveLength(2)

    await original.stop()
    const after = await gateway.registerDatabase(tenant.id, copy)
    expect(after).toMatchObject({ ...HOME, database, port: clone.port })
    await expect.poll(read).toBe(200)
    expect((await places(tenant)).body.data).toHaveLength(1)
    await original.start()
    const sql = 'SELECT epoch::int FROM residence'
    const stampAt = async (at: OwnServer) =>
      (await query(Object.assign(new URL(at.superuserUrl), { pathname: `/${database}` }).href, sql))[0]
    expect(await stampAt(clone)).toEqual({ epoch: await epochOf(tenant.id) })
    expect(await stampAt(original)).toEqual({ epoch: (await epochOf(tenant.id)) - 1 })
  })
})
