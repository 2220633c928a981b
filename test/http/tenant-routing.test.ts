import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, UNKNOWN_ID } from './support.ts'

/** Changes of a tenant that decide where its requests go, seen by two replicas of one catalog. */
let stage: Stage
let gateway: TestGateway
let replica: TestGateway
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  replica = await startGateway(stage)
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await dropAll()
})

const EVERYWHERE = { replicas: 2, confirmed: 2 }
const CIRCLE = { status: 400, code: 'VALIDATION_FAILED', pointers: ['/parentId'] }
const patch = (id: string, body: unknown) => gateway.operator('PATCH', `/tenants/${id}`, body)
const child = async (parentId: string | null) => (await make(parentId)).id
let made = 0
async function make(parentId: string | null): Promise<{ id: string; parentId: string | null }> {
  made++
  const answer = await gateway.operator('POST', '/tenants', { code: `made-${made}`, name: 'x', parentId })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}
const parentOf = async (id: string) => (await gateway.operator('GET', `/tenants/${id}`)).body.parentId

describe('a change of status', () => {
  test('is in force on every replica when it is answered, in both directions', async () => {
    const tenant = await gateway.createTenant()
    const visit = (at: TestGateway) => at.call('GET', `${API}/places`, { token: tenant.token })
    for (const at of [gateway, replica]) expect((await visit(at)).status).toBe(200)
    const closed = await patch(tenant.id, { status: 'INACTIVE' })
    expect(closed.body).toMatchObject({ id: tenant.id, status: 'INACTIVE', effective: EVERYWHERE })
    for (const at of [replica, gateway])
      expectProblem(await visit(at), { status: 404, code: 'TENANT_NOT_FOUND' })
    const opened = await patch(tenant.id, { status: 'ACTIVE' })
    expect(opened.body).toMatchObject({ status: 'ACTIVE', effective: EVERYWHERE })
    for (const at of [replica, gateway]) expect((await visit(at)).status).toBe(200)
  })

  test('that changes nothing is confirmed by every replica too', async () => {
    const id = await child(null)
    const answer = await patch(id, { status: 'ACTIVE' })
    expect(answer.body.effective).toEqual(EVERYWHERE)
  })

  test('does not answer `effective` if it does not affect routing', async () => {
    const id = await child(null)
    for (const body of [{ name: 'Renamed' }, { authConfig: { accessTokenSeconds: 60 } }])
      expect((await patch(id, body)).body).not.toHaveProperty('effective')
  })

  test('is answered after 5 s even if a replica does not follow, with the number that do, also when repeated', async () => {
    const id = await child(null)
    // A process that was alive a moment ago, and hangs.
    const hung = '01900000-0000-7000-8000-00000000dead'
    await query(
      stage.catalogUrl,
      `INSERT INTO replicas (id, heartbeat_at) VALUES ('${hung}', now() + interval '1 minute')`,
    )
    try {
      const begun = performance.now()
      const first = patch(id, { status: 'INACTIVE' })
      const status = async () => (await gateway.operator('GET', `/tenants/${id}`)).body.status
      await expect.poll(status, { timeout: 4_000 }).toBe('INACTIVE')
      for (const { body } of await Promise.all([first, patch(id, { status: 'INACTIVE' })]))
        expect(body).toMatchObject({ status: 'INACTIVE', effective: { replicas: 3, confirmed: 2 } })
      expect(performance.now() - begun).toBeGreaterThan(4_500)
    } finally {
      await query(stage.catalogUrl, `DELETE FROM replicas WHERE id = '${hung}'`)
    }
  })
})

describe('a change of parent', () => {
  test('200: moves a tenant with its descendants, or removes its parent', async () => {
    const [top, other] = [await child(null), await child(null)]
    const middle = await child(top)
    const bottom = await child(middle)
    const moved = await patch(middle, { parentId: other })
    expect(moved.body).toMatchObject({ parentId: other, effective: EVERYWHERE })
    expect(await parentOf(bottom)).toBe(middle)
    // The former parent may now be a child.
    expect((await patch(top, { parentId: bottom })).status).toBe(200)
    expect((await patch(middle, { parentId: null })).body.parentId).toBeNull()
  })

  test('400: a tenant is neither its own parent nor the child of a descendant', async () => {
    const top = await child(null)
    const middle = await child(top)
    const bottom = await child(middle)
    for (const parentId of [top, top.toUpperCase(), middle, bottom]) {
      const answer = await patch(top, { parentId, name: 'Moved' })
      expectProblem(answer, CIRCLE)
    }
    const { body } = await gateway.operator('GET', `/tenants/${top}`)
    expect([body.parentId, body.name]).toEqual([null, 'x'])
  })

  test('at least one of several changes is refused that together would create a cycle', async () => {
    for (let round = 0; round < 5; round++) {
      const ids = [await child(null), await child(null), await child(null)] as const
      const next = (at: number) => ids[(at + 1) % ids.length] ?? UNKNOWN_ID
      const callers = [gateway, replica, gateway]
      const answers = await Promise.all(
        ids.map((id, at) =>
          (callers[at] ?? gateway).operator('PATCH', `/tenants/${id}`, { parentId: next(at) }),
        ),
      )
      const refused = answers.filter(({ status }) => status !== 200)
      expect(refused).toHaveLength(1)
      for (const answer of refused) expectProblem(answer, CIRCLE)
      const parents = await Promise.all(ids.map(parentOf))
      expect(parents.filter((parent) => parent === null)).toHaveLength(1)
    }
  })
})
