import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { startFakeServer } from '../support/fake-server.ts'
import { API, expectProblem, type Fixture, openFixture, UNKNOWN_ID } from './support.ts'

const SOON = { timeout: 60_000, interval: 50 }

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
  await dropAll()
})

const operator = (method: 'GET' | 'POST', path: string, body?: object) =>
  fixture.gateway.operator(method, path, body)
const list = async (query: string) => (await operator('GET', `/jobs?${query}`)).body.data
const databaseOf = async (id: string) => (await operator('GET', `/tenants/${id}/database`)).body

/** A tenant whose database server accepts connections and stays silent, and the job that waits for it. */
async function stuckValidation() {
  const server = await startFakeServer('hang')
  onTestFinished(() => server.close())
  const { id } = await fixture.gateway.createTenant()
  const body = { connectionString: server.urlFor('u', 'p', 'd'), connectionTimeoutSeconds: 60 }
  const { status } = await fixture.gateway.operator('PUT', `/tenants/${id}/database`, body)
  expect(status).toBe(202)
  const running = async () => (await list(`tenantId=${id}&status=running`)) as { id: string }[]
  await expect.poll(running, SOON).toHaveLength(1)
  return { tenantId: id, jobId: (await running())[0]?.id ?? '' }
}

describe('GET /jobs', () => {
  test('200: shows the jobs of a database in the documented form, and never a payload', async () => {
    const { id: tenantId } = fixture.dedicated
    await expect.poll(() => list(`tenantId=${tenantId}&status=running`), SOON).toEqual([])
    const { status, body } = await operator('GET', `/jobs?tenantId=${tenantId}`)
    expect(status).toBe(200)
    expect(body.nextCursor).toBeNull()
    const [job, ...others] = body.data as Record<string, unknown>[]
    expect(others).toEqual([])
    const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/)
    expect(job).toEqual({
      ...{ id: expect.any(String), kind: 'validation', tenantId, serverId: null, runId: null },
      ...{ status: 'succeeded', step: null, progress: null, attempts: 1, error: null },
      ...{ result: { databaseStatus: 'active', moveRequired: false } },
      ...{ createdAt: moment, startedAt: moment, finishedAt: moment },
    })
    expect((await operator('GET', `/jobs/${job?.id}`)).body).toEqual(job)
  })

  test('200: a failed job says why, and its next attempt waits', async () => {
    const { id } = await fixture.gateway.createTenant()
    const { status } = await fixture.gateway.registerDatabase(id, 'postgresql://u:p@127.0.0.1:1/none')
    expect(status).toBe('failed')
    expect(await list(`tenantId=${id}`)).toMatchObject([
      { status: 'queued', attempts: 0, error: null },
      { status: 'failed', error: { code: 'CONNECTION_REFUSED' }, result: null },
    ])
    expect(await list(`tenantId=${id}&status=failed`)).toHaveLength(1)
    expect(await list(`tenantId=${id}&kind=key-rotation`)).toEqual([])
  })

  test('200 for viewers, page by page; 400, 401, 403 or 404 for others', async () => {
    const made = await operator('POST', '/operators', { name: 'Viewer', role: 'viewer' })
    const headers = { authorization: `Bearer ${made.body.token}` }
    const viewer = (method: 'GET' | 'POST', path: string) =>
      fixture.gateway.call(method, `${API}${path}`, { headers })
    const first = await viewer('GET', '/jobs?limit=1')
    expect(first.status).toBe(200)
    const [{ id } = { id: '' }] = first.body.data as { id: string }[]
    const next = await viewer('GET', `/jobs?limit=1&cursor=${first.body.nextCursor}`)
    expect((next.body.data as { id: string }[])[0]?.id).not.toBe(id)
    expect((await viewer('GET', `/jobs/${id}`)).status).toBe(200)
    expectProblem(await viewer('POST', `/jobs/${id}/cancel`), {
      ...{ status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' },
    })
    const { token } = fixture.dedicated
    for (const [method, path] of [
      ['GET', '/jobs'],
      ['GET', `/jobs/${id}`],
      ['POST', `/jobs/${id}/cancel`],
    ] as const) {
      const answer = await fixture.gateway.call(method, `${API}${path}`, { token })
      expectProblem(answer, { status: 403, code: 'OPERATOR_REQUIRED' })
      expect((await fixture.gateway.call(method, `${API}${path}`)).status).toBe(401)
    }
    expectProblem(await operator('GET', '/jobs?status=done'), { status: 400, code: 'VALIDATION_FAILED' })
    expectProblem(await operator('GET', `/jobs/${UNKNOWN_ID}`), { status: 404, code: 'NOT_FOUND' })
    expectProblem(await operator('POST', `/jobs/${UNKNOWN_ID}/cancel`), { status: 404, code: 'NOT_FOUND' })
  })
})

describe('POST /jobs/{id}/cancel', () => {
  test('202: aborts a running validation, and its database has failed', async () => {
    const { tenantId, jobId } = await stuckValidation()
    const { status, body } = await operator('POST', `/jobs/${jobId}/cancel`)
    expect([status, body.id]).toEqual([202, jobId])
    const state = async () => (await operator('GET', `/jobs/${jobId}`)).body
    await expect.poll(state, SOON).toMatchObject({ status: 'cancelled', finishedAt: expect.any(String) })
    expect(await databaseOf(tenantId)).toMatchObject({ status: 'failed', lastError: { code: 'UNKNOWN' } })
    expect(await list(`tenantId=${tenantId}&status=queued`)).toEqual([])
    expectProblem(await operator('POST', `/jobs/${jobId}/cancel`), { status: 409, code: 'WRONG_STATE' })
    const audit = await operator('GET', `/audit-log?action=job.cancel&tenantId=${tenantId}`)
    expect(audit.body.data).toMatchObject([
      { actor: { type: 'operator' }, after: { jobId, kind: 'validation', runId: null } },
    ])
  })

  test('202: ends a waiting job at once, and a new one can be requested', async () => {
    const { id } = await fixture.gateway.createTenant()
    await fixture.gateway.registerDatabase(id, 'postgresql://u:p@127.0.0.1:1/none')
    const [{ id: jobId } = { id: '' }] = (await list(`tenantId=${id}&status=queued`)) as { id: string }[]
    const { status, body } = await operator('POST', `/jobs/${jobId}/cancel`)
    expect([status, body.status]).toEqual([202, 'cancelled'])
    expect(await databaseOf(id)).toMatchObject({
      ...{ status: 'failed', lastError: { code: 'CONNECTION_REFUSED' } },
    })
    expect((await operator('POST', `/tenants/${id}/database/validate`)).status).toBe(202)
    await expect.poll(async () => await list(`tenantId=${id}&status=failed`), SOON).toHaveLength(2)
  })

  test('409 for a rotation of the encryption key, which continues to its end', async () => {
    const { status } = await operator('POST', '/encryption/rotate')
    expect(status).toBe(202)
    const [{ id } = { id: '' }] = (await list('kind=key-rotation')) as { id: string }[]
    expectProblem(await operator('POST', `/jobs/${id}/cancel`), { status: 409, code: 'WRONG_STATE' })
    await expect
      .poll(async () => (await operator('GET', `/jobs/${id}`)).body, SOON)
      .toMatchObject({ status: 'succeeded', result: { remaining: 0 } })
  })
})
