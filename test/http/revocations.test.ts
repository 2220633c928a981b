import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, type Fixture, openFixture } from './support.ts'

let fixture: Fixture
let replica: TestGateway
let catalog: Client
beforeAll(async () => {
  fixture = await openFixture()
  replica = await startGateway(fixture.stage)
  catalog = new Client({ connectionString: fixture.stage.catalogUrl })
  await catalog.connect()
})
afterAll(async () => {
  await catalog?.end()
  await replica?.close()
  await fixture?.gateway.close()
  await dropAll()
})

const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }
const me = (token: string, gateway: TestGateway) => gateway.call('GET', `${API}/auth/me`, { token })

/** Writes the revocation as another replica would. This gateway learns of it only through the change log. */
async function callBack(tenantId: string | null, subjectId: string, ago = '0 s'): Promise<void> {
  await catalog.query(
    `insert into catalog_changes (seq, kind, tenant_id, subject_id, at)
     select coalesce(max(seq), 0) + 1, 'tokens', $1, $2, now() - $3::interval from catalog_changes`,
    [tenantId, subjectId, ago],
  )
}

describe.each(['shared', 'dedicated'] as const)('revoked tokens (%s)', (placement) => {
  test('are refused on every replica, also where they were cached, and after a restart', async () => {
    const { gateway, other } = fixture
    const tenant = fixture[placement]
    const token = await gateway.login(tenant.code, tenant.admin)
    const { body } = await me(token, gateway)
    expect((await me(token, replica)).status).toBe(200)
    await callBack(tenant.id, `${body.user.id}:1`)
    for (const one of [gateway, replica]) {
      await expect.poll(async () => (await me(token, one)).status).toBe(401)
      expectProblem(await me(token, one), TOKEN_INVALID)
      expect((await me(other.token, one)).status).toBe(200)
    }
    const fresh = await startGateway(fixture.stage)
    try {
      expectProblem(await me(token, fresh), TOKEN_INVALID)
      expect((await me(other.token, fresh)).status).toBe(200)
    } finally {
      await fresh.close()
    }
  })
})

test('a revocation for one subject affects no other subject', async () => {
  const { gateway, other } = fixture
  const token = await gateway.login(other.code, other.admin)
  const { body } = await me(token, gateway)
  const id = body.user.id as string
  await callBack(fixture.dedicated.id, `${id}:9`)
  await callBack(null, `${id}:9`)
  await callBack(other.id, `${id}:0`)
  await callBack(other.id, `${id}:no`)
  await callBack(other.id, id)
  // Older than any token that could still be valid.
  await callBack(other.id, `${id}:9`, '2 days')
  const fresh = await startGateway(fixture.stage)
  try {
    expect((await me(token, fresh)).status).toBe(200)
  } finally {
    await fresh.close()
  }
})
