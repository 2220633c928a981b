import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { eachPlacement, proveIsolation, testGateway } from 'freehold/testing'
import application from './freehold.config.ts'

const t = await testGateway(application)
after(() => t.close())

test('a task is created, finished and counted, in the shared database and in one of its own', async () => {
  await eachPlacement(async (placement) => {
    const tenant = await t.tenant({ placement })
    const user = tenant.as(['tasks:read', 'tasks:write'])
    const created = await user.inject({ method: 'POST', url: '/api/v1/tasks', payload: { title: 'Try it' } })
    assert.equal(created.statusCode, 201)
    const url = `/api/v1/tasks/${created.json().id}`
    const finished = await user.inject({ method: 'PATCH', url, payload: { status: 'done' } })
    assert.equal(finished.json().status, 'done')
    const summary = await user.inject({ method: 'GET', url: '/api/v1/summary' })
    assert.deepEqual(summary.json(), { done: 1 })
  })
})

test('reading does not allow writing', async () => {
  const reader = (await t.tenant()).as(['tasks:read'])
  const refused = await reader.inject({ method: 'POST', url: '/api/v1/tasks', payload: { title: 'No' } })
  assert.equal(refused.json().code, 'PERMISSION_DENIED')
})

test('no tenant reaches another by any route', async () => {
  await proveIsolation(t)
})
