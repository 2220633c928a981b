import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { databaseCalls, freshUrl } from '../http/database-calls.ts'
import { expectProblem } from '../http/support.ts'
import { createDatabase, dropAll, query, superuserUrl } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { makePlace, PLACES, register } from './support.ts'

/**
 * Makes a backup of the catalog, moves tenants, and restores the backup: the runbook docs/how-to/restore-the-catalog.md and the
 * table of docs/decisions/0034-corrected-by-the-stamps.md, with real databases.
 */
const SETUP = 300_000
const SLOW = { timeout: 60_000 }

let stage: Stage
let gateway: TestGateway

const { get, validate, adopt, remove, tenantOf } = databaseCalls(() => gateway)
const databaseOf = (url: string) => new URL(url).pathname.slice(1)
const catalog = () => superuserUrl(databaseOf(stage.catalogUrl))
const shared = () => superuserUrl(databaseOf(stage.sharedUrl))
const HOME = { status: 'active', placement: 'dedicated', moveRequired: false, candidate: null }
const AMBIGUOUS = { code: 'IDENTITY_AMBIGUOUS' }

/** A tenant with its present and former dedicated databases. */
interface House {
  readonly tenant: TestTenant
  /** The tenant database when the backup was made. Null means the shared database. */
  before: string | null
  /** The tenant database since then. Null means the shared database. */
  since: string | null
}

const NAMES = [
  ...([
    'unmoved',
    'movedOut',
    'movedOn',
    'movedOnFromDropped',
    'cameBack',
    'replaced',
    'cameBackFromDropped',
  ] as const),
  ...(['thereAndBack', 'bothRestored', 'bothWritten', 'homeRestored', 'newer', 'hostile'] as const),
] as const
type Name = (typeof NAMES)[number]
const houses = {} as Record<Name, House>
let successor: TestTenant
let born: TestTenant
let lateKey: string
let oldKey: { id: string; key: string }

async function rebuild(name: string, template: string, owner: string): Promise<void> {
  await query(superuserUrl(), `DROP DATABASE "${name}" WITH (FORCE)`)
  await query(superuserUrl(), `CREATE DATABASE "${name}" OWNER "${owner}" TEMPLATE "${template}"`)
}

async function moveInto(house: House): Promise<string> {
  const url = await freshUrl()
  await register({ caller: gateway, tenantId: house.tenant.id, url })
  return url
}

const issueKey = async (tenantId: string, name: string) => {
  const body = { name, permissions: ['*'] }
  const issued = (await gateway.operator('POST', `/tenants/${tenantId}/client-keys`, body)).body
  return { id: issued.id as string, key: issued.key as string }
}

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  for (const name of NAMES) houses[name] = { tenant: await gateway.createTenant(), before: null, since: null }
  const own: Name[] = [
    'movedOn',
    'movedOnFromDropped',
    'cameBack',
    'replaced',
    'cameBackFromDropped',
    'homeRestored',
    'newer',
  ]
  for (const name of own) houses[name].before = await moveInto(houses[name])
  oldKey = await issueKey(houses.unmoved.tenant.id, 'before')
  await makePlace(gateway, houses.unmoved.tenant, 'Kept')
  await makePlace(gateway, houses.homeRestored.tenant, 'Kept')

  await gateway.close()
  const backup = await createDatabase({ template: databaseOf(stage.catalogUrl) })

  gateway = await startGateway(stage)
  const moves: Name[] = [
    'movedOut',
    'movedOn',
    'movedOnFromDropped',
    'bothRestored',
    'bothWritten',
    'hostile',
  ]
  for (const name of moves) houses[name].since = await moveInto(houses[name])
  houses.thereAndBack.since = await moveInto(houses.thereAndBack)
  for (const name of ['cameBack', 'replaced', 'cameBackFromDropped', 'thereAndBack'] as const)
    expect((await remove(houses[name].tenant.id)).status).toBe(204)
  houses.newer.since = await moveInto(houses.newer)
  await register({ caller: gateway, tenantId: houses.newer.tenant.id, url: houses.newer.before ?? '' })
  for (const name of NAMES.filter((each) => each !== 'unmoved' && each !== 'homeRestored'))
    await makePlace(gateway, houses[name].tenant, 'Since')
  successor = await gateway.createTenant()
  await register({ caller: gateway, tenantId: successor.id, url: houses.replaced.before ?? '' })
  await makePlace(gateway, successor, 'Successor')
  born = await gateway.createTenant()
  await makePlace(gateway, born, 'Born')
  lateKey = (await issueKey(houses.unmoved.tenant.id, 'since')).key
  await gateway.operator('DELETE', `/tenants/${houses.unmoved.tenant.id}/client-keys/${oldKey.id}`)
  for (const name of ['movedOnFromDropped', 'cameBackFromDropped'] as const)
    await query(superuserUrl(), `DROP DATABASE "${databaseOf(houses[name].before ?? '')}" WITH (FORCE)`)

  await gateway.close()
  await rebuild(databaseOf(stage.catalogUrl), backup, new URL(stage.catalogUrl).username)
  gateway = await startGateway(stage)
}, SETUP)
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

async function placesOf(name: Name): Promise<string[] | number> {
  const { token } = houses[name].tenant
  const { status, body } = await gateway.call('GET', PLACES, { token })
  return status === 200 ? body.data.map((row: { name: string }) => row.name) : status
}

const expectServed = async (name: Name, rows: string[]) => {
  await expect.poll(() => placesOf(name)).toEqual(rows)
  const { code, admin } = houses[name].tenant
  expect(await gateway.login(code, admin)).toMatch(/^ey/)
}

async function epochs(name: Name, url: string | null) {
  const id = houses[name].tenant.id
  const [known] = await query<{ epoch: number }>(
    catalog(),
    `SELECT epoch::int FROM tenants WHERE id = '${id}'`,
  )
  const at = url === null ? shared() : superuserUrl(databaseOf(url))
  const [stamp] = await query<{ epoch: number; state: string }>(
    at,
    `SELECT epoch::int, state FROM residence WHERE tenant_id = '${id}'`,
  )
  return { catalog: known?.epoch, stamp: stamp?.epoch, state: stamp?.state }
}

/** The catalog and the tenant database agree, and the stamp is open. */
async function expectAgreed(name: Name, url: string | null, above: number): Promise<void> {
  const found = await epochs(name, url)
  expect(found).toEqual({ catalog: found.stamp, stamp: expect.any(Number), state: 'open' })
  expect(found.stamp).toBeGreaterThan(above)
}

async function registerSince(name: Name) {
  return gateway.registerDatabase(houses[name].tenant.id, houses[name].since ?? '')
}

/** Requests a validation and returns the state after it. */
async function validated(name: Name, ask: typeof validate | typeof adopt) {
  const { id } = houses[name].tenant
  expect((await ask(id)).status).toBe(202)
  const idle = async () =>
    query(catalog(), `SELECT FROM jobs WHERE tenant_id = '${id}' AND finished_at IS NULL AND due_at <= now()`)
  await expect.poll(idle).toEqual([])
  return (await get(id)).body
}

describe('after the catalog was restored', SLOW, () => {
  test('a tenant that has not moved is served as before', async () => {
    await expectServed('unmoved', ['Kept'])
    expect(await epochs('unmoved', null)).toEqual({ catalog: 1, stamp: 1, state: 'open' })
  })

  test('a tenant that moved away and back is served again by itself, at the next epoch', async () => {
    await expectServed('thereAndBack', ['Since'])
    await expectAgreed('thereAndBack', null, 3)
    expect(await tenantOf(houses.thereAndBack.tenant.id)).toMatchObject({
      placement: 'shared',
      database: null,
    })
  })

  test('PUT restores a tenant that moved to a dedicated database', async () => {
    expect(await placesOf('movedOut')).toBe(503)
    expect(await registerSince('movedOut')).toMatchObject(HOME)
    await expectServed('movedOut', ['Since'])
    await expectAgreed('movedOut', houses.movedOut.since, 2)
  })

  test('PUT restores a tenant that moved between dedicated databases, and the former one is found empty', async () => {
    const { tenant, before, since } = houses.movedOn
    // A health round reports the fault. Requests only learn that the database does not serve.
    const said = async () => (await get(tenant.id)).body.lastError
    await expect.poll(said).toMatchObject(AMBIGUOUS)
    expect(await placesOf('movedOn')).toBe(503)
    expect(await registerSince('movedOn')).toMatchObject({ ...HOME, database: databaseOf(since ?? '') })
    await expectServed('movedOn', ['Since'])
    await expectAgreed('movedOn', since, 3)
    expect((await epochs('movedOn', before)).stamp).toBeUndefined()
  })

  test('an operator has to decide where the former database is gone', async () => {
    const { since } = houses.movedOnFromDropped
    const { candidate } = await registerSince('movedOnFromDropped')
    expect(candidate).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
    expect(await validated('movedOnFromDropped', validate)).toMatchObject({
      candidate: { status: 'failed', lastError: AMBIGUOUS },
    })
    expect(await validated('movedOnFromDropped', adopt)).toMatchObject(HOME)
    await expectServed('movedOnFromDropped', ['Since'])
    await expectAgreed('movedOnFromDropped', since, 3)
  })

  test('validate finds a tenant that came back to the shared database', async () => {
    const { id } = houses.cameBack.tenant
    expect(await placesOf('cameBack')).toBe(503)
    expect((await validate(id)).status).toBe(202)
    const home = async () => tenantOf(id)
    await expect.poll(home).toMatchObject({ placement: 'shared', database: null })
    await expectServed('cameBack', ['Since'])
    await expectAgreed('cameBack', null, 3)
  })

  test('validate finds it there even if its former database now serves another tenant, which PUT restores', async () => {
    const { id } = houses.replaced.tenant
    expect((await validate(id)).status).toBe(202)
    const home = async () => tenantOf(id)
    await expect.poll(home).toMatchObject({ placement: 'shared', database: null })
    await expectServed('replaced', ['Since'])
    const stamps = await query(
      superuserUrl(databaseOf(houses.replaced.before ?? '')),
      'SELECT tenant_id FROM residence',
    )
    expect(stamps).toEqual([{ tenant_id: successor.id }])
  })

  test('validate reports an ambiguity where the database is gone, and an operator decides', async () => {
    const { id } = houses.cameBackFromDropped.tenant
    const failed = await validated('cameBackFromDropped', validate)
    expect(failed).toMatchObject({ status: 'inactive', lastError: AMBIGUOUS })
    expect((await adopt(id)).status).toBe(202)
    await expect.poll(async () => tenantOf(id)).toMatchObject({ placement: 'shared', database: null })
    await expectServed('cameBackFromDropped', ['Since'])
    await expectAgreed('cameBackFromDropped', null, 3)
  })

  test('validate accepts a tenant database whose epoch is ahead of the catalog', async () => {
    const { before } = houses.newer
    expect(await placesOf('newer')).toBe(503)
    expect(await validated('newer', validate)).toMatchObject(HOME)
    await expectServed('newer', ['Since'])
    await expectAgreed('newer', before, 4)
  })

  test('no decision makes an empty database a tenant database while the tenant lives elsewhere', async () => {
    const tenant = houses.hostile.tenant
    const empty = await gateway.registerDatabase(tenant.id, await freshUrl())
    expect(empty).toMatchObject({ status: 'failed', placement: 'shared', lastError: AMBIGUOUS })
    expect(await validated('hostile', adopt)).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
  })

  test('no decision accepts a stamp above which there is no epoch', async () => {
    const { tenant, since } = houses.hostile
    const own = superuserUrl(databaseOf(since ?? ''))
    await query(own, 'UPDATE residence SET epoch = 9223372036854775807')
    expect(await registerSince('hostile')).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
    expect(await validated('hostile', adopt)).toMatchObject({ status: 'failed', placement: 'shared' })
    await query(own, 'UPDATE residence SET epoch = 2')
    expect(await registerSince('hostile')).toMatchObject(HOME)
    await expectServed('hostile', ['Since'])
    expect((await tenantOf(tenant.id)).placement).toBe('dedicated')
  })
})

/** Makes the next automatic attempt of a failed validation due now. */
async function triedAgain(name: Name) {
  const { id } = houses[name].tenant
  const sql = `SELECT validation_attempts AS made FROM tenant_databases WHERE tenant_id = '${id}'`
  const attempts = async () => (await query<{ made: number }>(catalog(), sql))[0]?.made ?? 0
  const before = await attempts()
  await query(catalog(), `UPDATE jobs SET due_at = now() WHERE tenant_id = '${id}' AND finished_at IS NULL`)
  await expect.poll(attempts).toBeGreaterThan(before)
  return (await get(id)).body
}

/** As if the shared database had been restored with the catalog: the tenant's stamp and users from that time. */
async function restoreInShared({ id }: TestTenant): Promise<void> {
  await query(shared(), `INSERT INTO residence (tenant_id, epoch) VALUES ('${id}', 1)`)
  const person = `INSERT INTO users (tenant_id, id, email, password_hash)
    VALUES ('${id}', gen_random_uuid(), 'former@example.com', 'x')`
  await query(shared(), person)
}

const rowsInShared = async (table: string, { id }: TestTenant) => {
  const sql = `SELECT count(*)::int AS rows FROM ${table} WHERE tenant_id = '${id}'`
  return (await query<{ rows: number }>(shared(), sql))[0]?.rows
}

describe('where more than the catalog was restored', SLOW, () => {
  test('users in two databases are ambiguous; the adopted database keeps its users', async () => {
    const { tenant, since } = houses.bothRestored
    await restoreInShared(tenant)
    expect(await registerSince('bothRestored')).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
    expect(await rowsInShared('users', tenant)).toBe(1)
    expect(await validated('bothRestored', adopt)).toMatchObject(HOME)
    await expectServed('bothRestored', ['Since'])
    await expectAgreed('bothRestored', since, 2)
    expect(await rowsInShared('users', tenant)).toBe(0)
    expect(await rowsInShared('residence', tenant)).toBe(0)
  })

  test('rows written since do no harm until two databases have some: then no database is adopted', async () => {
    const { tenant, since } = houses.bothWritten
    await restoreInShared(tenant)
    const row = `INSERT INTO places (tenant_id, id, name) VALUES ('${tenant.id}', gen_random_uuid(), 'Rival')`
    await query(shared(), row)
    expect(await registerSince('bothWritten')).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
    expect(await validated('bothWritten', adopt)).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
    // Both are as before, and the shared database serves.
    expect(await rowsInShared('places', tenant)).toBe(1)
    expect(await epochs('bothWritten', since)).toEqual({ catalog: 1, stamp: 2, state: 'open' })
    expect(await epochs('bothWritten', null)).toEqual({ catalog: 1, stamp: 1, state: 'open' })
    expect(await placesOf('bothWritten')).toEqual(['Rival'])
    // The decision counts for one validation only.
    await query(shared(), `DELETE FROM places WHERE tenant_id = '${tenant.id}'`)
    expect(await triedAgain('bothWritten')).toMatchObject({ status: 'failed', lastError: AMBIGUOUS })
    expect(await validated('bothWritten', adopt)).toMatchObject(HOME)
    await expectServed('bothWritten', ['Since'])
  })

  test('a tenant database restored from before its last move is ambiguous, and may be adopted', async () => {
    const { tenant, before } = houses.homeRestored
    await query(superuserUrl(databaseOf(before ?? '')), 'UPDATE residence SET epoch = epoch - 1')
    const said = async () => (await get(tenant.id)).body.lastError
    await expect.poll(said).toMatchObject(AMBIGUOUS)
    expect(await validated('homeRestored', validate)).toMatchObject({ lastError: AMBIGUOUS })
    expect(await placesOf('homeRestored')).toBe(503)
    expect(await validated('homeRestored', adopt)).toMatchObject({ ...HOME, lastError: null })
    await expectServed('homeRestored', ['Kept'])
    await expectAgreed('homeRestored', before, 2)
  })
})

describe('changes that a restored catalog does not know', SLOW, () => {
  test('a tenant that was created since is gone, and its rows can be found', async () => {
    expectProblem(await gateway.operator('GET', `/tenants/${born.id}`), {
      status: 404,
      code: 'TENANT_NOT_FOUND',
    })
    const known = (await query<{ id: string }>(catalog(), 'SELECT id FROM tenants')).map(({ id }) => id)
    const lost = 'SELECT tenant_id FROM residence WHERE tenant_id <> ALL ($1::uuid[])'
    expect(await query(shared(), lost, [known])).toEqual([{ tenant_id: born.id }])
  })

  test('a client key created since is refused, and one revoked since is valid again', async () => {
    const { code } = houses.unmoved.tenant
    const as = (key: string) =>
      gateway.call('GET', PLACES, { headers: { 'x-client-key': key, 'x-tenant-code': code } })
    expect((await as(lateKey)).status).toBe(401)
    expect((await as(oldKey.key)).status).toBe(200)
    await gateway.operator('DELETE', `/tenants/${houses.unmoved.tenant.id}/client-keys/${oldKey.id}`)
    expect((await as(oldKey.key)).status).toBe(401)
  })
})

test('every adoption is in the audit log, with the epochs before and after', async () => {
  const { id } = houses.bothRestored.tenant
  const { body } = await gateway.operator('GET', `/audit-log?tenantId=${id}`)
  expect(body.data).toContainEqual(
    expect.objectContaining({
      action: 'tenant.home',
      before: { placement: 'shared', epoch: 1 },
      after: expect.objectContaining({ placement: 'dedicated', epoch: 3 }),
    }),
  )
  expect(body.data).toContainEqual(
    expect.objectContaining({
      action: 'tenant.database.validate',
      after: expect.objectContaining({ adopt: true }),
    }),
  )
})

test('400 for an unknown decision', async () => {
  const path = `/tenants/${houses.unmoved.tenant.id}/database/validate`
  for (const body of [{ adopt: 'yes' }, { adopt: null }, { force: true }]) {
    expectProblem(await gateway.operator('POST', path, body), { status: 400, code: 'VALIDATION_FAILED' })
  }
})
