import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { API, expectProblem } from './support.ts'

const SOON = { timeout: 60_000, interval: 50 }
const FOREIGN = 'feedfacefeedface'

let stage: Stage
let gateway: TestGateway
let tenant: TestTenant

beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  tenant = await gateway.createTenant()
  const key = { algorithm: 'HS256' }
  expect((await gateway.operator('PUT', `/tenants/${tenant.id}/signing-key`, key)).status).toBe(200)
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const state = async () => (await gateway.operator('GET', '/encryption')).body
const rotate = () => gateway.operator('POST', '/encryption/rotate')
const inCatalog = (sql: string, params: unknown[] = []) =>
  query(superuserUrl(new URL(stage.catalogUrl).pathname.slice(1)), sql, params)
const readiness = async () => {
  const { status, body } = await gateway.call('GET', '/readyz')
  return [status, body.status]
}

test('GET /encryption, 200: shows the fingerprint of the primary key, and how much is sealed under it', async () => {
  const { status, body, text } = await gateway.operator('GET', '/encryption')
  expect(status).toBe(200)
  expect(body).toEqual({
    currentKeyId: expect.stringMatching(/^[0-9a-f]{16}$/),
    counts: { [body.currentKeyId]: 2 },
    rotation: null,
  })
  expect(text).not.toContain(stage.encryptionKey)
})

describe('POST /encryption/rotate', () => {
  test('202: starts a rotation that GET follows to its end and the audit log records', async () => {
    const { status, body } = await rotate()
    expect(status).toBe(202)
    const { currentKeyId, counts } = body
    expect(body).toEqual({
      ...{ currentKeyId, counts: { [currentKeyId]: 2 } },
      rotation: {
        ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), keyId: currentKeyId },
        ...{ status: expect.stringMatching(/^(?:running|done)$/), total: 0, remaining: 0 },
        startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
        finishedAt: body.rotation.status === 'running' ? null : expect.stringMatching(/Z$/),
      },
    })
    await expect.poll(async () => (await state()).rotation.status, SOON).toBe('done')
    const { rotation } = await state()
    expect(rotation).toMatchObject({ id: body.rotation.id, finishedAt: expect.stringMatching(/^\d{4}-.*Z$/) })
    expect(counts).toEqual((await state()).counts)
    const log = await gateway.operator('GET', '/audit-log?limit=200')
    const entries = (log.body.data as { action: string }[]).filter((one) =>
      one.action.startsWith('encryption.'),
    )
    const about = { rotationId: rotation.id, keyId: currentKeyId }
    expect(entries).toMatchObject([
      { action: 'encryption.rotated', actor: { type: 'system', id: 'encryption' }, after: about },
      { action: 'encryption.rotate', actor: { type: 'operator', id: 'bootstrap' }, after: about },
    ])
  })

  test('409: secrets need a missing key, which makes the gateway unready and harms no other tenant', async () => {
    const other = await gateway.createTenant()
    const name = 'update data_keys set master_key_id = $1 where tenant_id = $2 and master_key_id <> $1'
    expect(await readiness()).toEqual([200, 'ready'])
    const { currentKeyId } = await state()
    await inCatalog(name, [FOREIGN, tenant.id])
    const answer = await rotate()
    expectProblem(answer, { status: 409, code: 'CONFLICT' })
    expect(answer.body.detail).toContain(FOREIGN)
    await expect.poll(readiness, SOON).toEqual([503, 'key-missing'])
    const metrics = await gateway.call('GET', '/metrics')
    expect(metrics.text).toMatch(/^freehold_encryption_keys_missing 1$/m)
    expect((await gateway.call('GET', `${API}/places`, { token: other.token })).status).toBe(200)
    await inCatalog(name, [currentKeyId, tenant.id])
    await expect.poll(readiness, SOON).toEqual([200, 'ready'])
    expect(gateway.log().split('"encryption keys are missing"')).toHaveLength(2)
    expect(gateway.log().split('"all encryption keys are available again"')).toHaveLength(2)
  })
})
