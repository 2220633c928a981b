import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway, withTwoRoles } from '../support/gateway.ts'

// A shared database with an owner role and a serving role: the gateway does the owner's work as the owner.

let stage: Stage
let gateway: TestGateway

beforeAll(async () => {
  stage = await withTwoRoles(await createStage())
  gateway = await startGateway(stage)
})
afterEach(() => expect(gateway.log()).not.toContain('"level":"error"'))
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const shared = () => superuserUrl(new URL(stage.sharedUrl).pathname.slice(1))
const placesOf = ({ token }: { token: string }) => gateway.call('GET', '/api/v1/places', { token })
const sealOf = async (url: string, id: string) =>
  (
    await query<{ seal: string | null }>(
      url,
      "SELECT encode(seal, 'hex') AS seal FROM residence WHERE tenant_id = $1",
      [id],
    )
  )[0]?.seal

test('a new tenant has a seal, and no answer contains it', async () => {
  const tenant = await gateway.createTenant()
  expect((await placesOf(tenant)).status).toBe(200)
  const seal = await sealOf(shared(), tenant.id)
  expect(seal).toMatch(/^[0-9a-f]{64}$/)
  expect(gateway.log()).not.toContain(seal)
  expect(gateway.log()).not.toContain('the serving role can bypass the seals')
})

test('a tenant gets a new seal each time it moves to a dedicated database and back', async () => {
  const tenant = await gateway.createTenant()
  const role = await createRole()
  const own = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  const before = await sealOf(shared(), tenant.id)
  expect(await gateway.registerDatabase(tenant.id, own)).toMatchObject({
    status: 'active',
    placement: 'dedicated',
  })
  expect((await placesOf(tenant)).status).toBe(200)
  const there = await sealOf(own, tenant.id)
  expect((await gateway.operator('DELETE', `/tenants/${tenant.id}/database`)).status).toBe(204)
  expect((await placesOf(tenant)).status).toBe(200)
  expect(new Set([before, there, await sealOf(shared(), tenant.id)]).size).toBe(3)
})

test.each([
  ['shared', 'NULL'],
  ['shared', "sha256('x')"],
  ['dedicated', 'NULL'],
])('a %s database whose seal is %s lets no session in, and is sealed again', async (placement, seal) => {
  const tenant = await gateway.createTenant()
  let home = shared()
  if (placement === 'dedicated') {
    const role = await createRole()
    home = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    expect(await gateway.registerDatabase(tenant.id, home)).toMatchObject({ status: 'active' })
  }
  const right = await sealOf(home, tenant.id)
  await query(home, `UPDATE residence SET seal = ${seal} WHERE tenant_id = $1`, [tenant.id])
  expect((await placesOf(tenant)).status).toBe(503)
  await expect.poll(async () => (await placesOf(tenant)).status).toBe(200)
  expect(await sealOf(home, tenant.id)).toBe(right)
  expect(gateway.log()).toContain('residence had no seal or a wrong one; sealed now')
})

test('a start gives a seal to each residence without one', async () => {
  const tenant = await gateway.createTenant()
  await query(shared(), 'UPDATE residence SET seal = NULL')
  const second = await startGateway(stage)
  try {
    expect(second.log()).toContain('residences of the shared database sealed')
    expect((await placesOf(tenant)).status).toBe(200)
  } finally {
    await second.close()
  }
})

test('a start without the owner role is refused, and the error says what it needs', async () => {
  const { sharedOwnerUrl: _, ...alone } = stage
  await expect(startGateway(alone)).rejects.toMatchObject({
    code: 'PERMISSION_MISSING',
    message: expect.stringContaining('set SHARED_MIGRATION_DATABASE_URL'),
  })
})

test('a start with one role for everything logs which protection is lost', async () => {
  const single = await startGateway(await createStage())
  const line = single
    .log()
    .split('\n')
    .find((each) => each.includes('the serving role can bypass the seals'))
  await single.close()
  expect(JSON.parse(line ?? '{}')).toMatchObject({
    level: 'warn',
    lost: expect.arrayContaining(['OWNS_TABLES']),
  })
})
