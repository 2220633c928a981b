import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, type Homes, openHomes } from './support.ts'

let homes: Homes
let replica: TestGateway
let catalog: Client
beforeAll(async () => {
  homes = await openHomes()
  replica = await startGateway(homes.stage)
  catalog = new Client({ connectionString: homes.stage.catalogUrl })
  await catalog.connect()
})
afterAll(async () => {
  await catalog?.end()
  await replica?.close()
  await homes?.gateway.close()
  await dropAll()
})

const TOKEN_INVALID = { status: 401, code: 'TOKEN_INVALID' }
const me = (token: string, gateway: TestGateway) => gateway.call('GET', `${API}/auth/me`, { token })

/** Writes it as another replica does: this gateway learns of it by the change log only. */
async function callBack(tenantId: string | null, subjectId: string, ago = '0 s'): Promise<void> {
  await catalog.query(
    `insert into catalog_changes (seq, kind, tenant_id, subject_id, at)
     select coalesce(max(seq), 0) + 1, 'tokens', $1, $2, now() - $3::interval from catalog_changes`,
    [tenantId, subjectId, ago],
  )
}

describe.each(['shared', 'own'] as const)('tokens called back (%s)', (placement) => {
  test('are refused on every replica, also where they were remembered, and after a restart', async () => {
    const { gateway, stranger } = homes
    const tenant = homes[placement]
    const token = await gateway.login(tenant.code, tenant.admin)
    const { body } = await me(token, gateway)
    expect((await me(token, replica)).status).toBe(200)
    await callBack(tenant.id, `${body.user.id}:1`)
    for (const one of [gateway, replica]) {
      await expect.poll(async () => (await me(token, one)).status, { timeout: 10_000 }).toBe(401)
      expectProblem(await me(token, one), TOKEN_INVALID)
      expect((await me(stranger.token, one)).status).toBe(200)
    }
    const fresh = await startGateway(homes.stage)
    try {
      expectProblem(await me(token, fresh), TOKEN_INVALID)
      expect((await me(stranger.token, fresh)).status).toBe(200)
    } finally {
      await fresh.close()
    }
  })
})

test('what is revoked of one subject is revoked of no other', async () => {
  const { gateway, stranger } = homes
  const token = await gateway.login(stranger.code, stranger.admin)
  const { body } = await me(token, gateway)
  const id = body.user.id as string
  await callBack(homes.own.id, `${id}:9`)
  await callBack(null, `${id}:9`)
  await callBack(stranger.id, `${id}:0`)
  await callBack(stranger.id, `${id}:no`)
  await callBack(stranger.id, id)
  // Older than any token that could still be good.
  await callBack(stranger.id, `${id}:9`, '2 days')
  const fresh = await startGateway(homes.stage)
  try {
    expect((await me(token, fresh)).status).toBe(200)
  } finally {
    await fresh.close()
  }
})
