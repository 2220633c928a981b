import { randomUUID } from 'node:crypto'
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { defineApplication } from '../../src/index.ts'
import { expectProblem, moveToOwnDatabase, UNKNOWN_ID } from '../http/support.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { bookings as application } from './bookings/application.ts'
import * as tables from './bookings/tables.ts'

const API = '/api/v1'
let stage: Stage
let gateway: TestGateway
let shared: TestTenant
let own: TestTenant

beforeAll(async () => {
  stage = await createStage({ application })
  gateway = await startGateway(stage, {}, application)
  shared = await gateway.createTenant()
  own = await gateway.createTenant()
  await moveToOwnDatabase(gateway, own.id)
})

afterAll(() => gateway?.close())

const as = (tenant: TestTenant, route: string, body?: unknown, headers = {}) => {
  const [method = '', path] = route.split(' ')
  return gateway.call(method, `${API}${path}`, {
    token: tenant.token,
    headers,
    ...(body !== undefined && { body }),
  })
}

async function room(tenant: TestTenant): Promise<string> {
  const { status, body, text } = await as(tenant, 'POST /rooms', { name: randomUUID(), seats: 4 })
  expect(status, text).toBe(201)
  return body.id
}

async function keyOf(tenant: TestTenant, permissions: string[]): Promise<Record<string, string>> {
  const { body } = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, {
    name: 'k',
    permissions,
  })
  return { 'x-client-key': body.key, 'x-tenant-code': tenant.code }
}

const placements = [
  ['shared', () => shared],
  ['dedicated', () => own],
] as const

describe.each(placements)('in a tenant that lives %s', (_placement, tenantOf) => {
  test('a route of the application works on its tables, in a transaction, with its own errors', async () => {
    const tenant = tenantOf()
    const id = await room(tenant)
    const made = await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'monday' })
    expect([made.status, made.body]).toEqual([201, { id: expect.any(String), slot: 'monday' }])
    expect(made.headers.get('location')).toBe(`/bookings/${made.body.id}`)
    const again = await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'monday' })
    expectProblem(again, { status: 409, code: 'SLOT_TAKEN' })
    expect(again.body).toMatchObject({
      ...{ title: 'The slot is taken', detail: 'monday is taken', slot: 'monday', status: 409 },
      type: 'urn:freehold:error:slot-taken',
    })
  })

  test('a room of another tenant is not found', async () => {
    const other = tenantOf() === shared ? own : shared
    const answer = await as(tenantOf(), `POST /rooms/${await room(other)}/bookings`, { slot: 'monday' })
    expectProblem(answer, { status: 404, code: 'REFERENCE_NOT_FOUND' })
  })

  test('under an Idempotency-Key the handler runs once, and a repetition gets the same answer', async () => {
    const tenant = tenantOf()
    const id = await room(tenant)
    const headers = { 'idempotency-key': randomUUID() }
    const answers = await Promise.all(
      [1, 2].map(() => as(tenant, `POST /rooms/${id}/bookings`, { slot: 'friday' }, headers)),
    )
    expect(answers.map(({ status }) => status)).toEqual([201, 201])
    expect(answers[0]?.text).toBe(answers[1]?.text)
    expect(answers.map((answer) => answer.headers.get('location'))).toEqual(
      Array(2).fill(`/bookings/${answers[0]?.body.id}`),
    )
    expect(answers.map((answer) => answer.headers.get('idempotency-replayed')).toSorted()).toEqual(
      [null, 'true'].toSorted(),
    )
    const { body } = await as(tenant, `GET /rooms/${id}/bookings`)
    expect(body.data).toHaveLength(1)
    const other = await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'sunday' }, headers)
    expectProblem(other, { status: 409, code: 'IDEMPOTENCY_MISMATCH' })
  })

  test.each([
    ['sent', 201],
    ['redirected', 303],
    ['not-found', 404],
  ])('an answer that was %s through its reply is repeated, without its cookies', async (how, status) => {
    const ask = (headers: Record<string, string>) =>
      fetch(new URL(`${API}/answers/${how}`, gateway.url), {
        ...{ method: 'POST', redirect: 'manual', signal: AbortSignal.timeout(5_000) },
        headers: { authorization: `Bearer ${tenantOf().token}`, ...headers },
      })
    const key = { 'idempotency-key': randomUUID() }
    const answers = [await ask({}), await ask(key), await ask(key)]
    const texts = await Promise.all(answers.map((answer) => answer.text()))
    expect(answers.map((answer) => answer.status)).toEqual(Array(3).fill(status))
    expect(answers.map(({ headers }) => headers.get('location'))).toEqual(
      Array(3).fill(how === 'redirected' ? '/elsewhere' : null),
    )
    // A failed request is done again, and has a request id of its own.
    if (how !== 'not-found') expect(texts[2]).toBe(texts[1])
    const cookies = how === 'sent' ? ['a=1', 'b=2'] : []
    expect(answers.map(({ headers }) => headers.getSetCookie())).toEqual([cookies, cookies, []])
  })

  test('under an Idempotency-Key a failed transaction fails the request, even if the error was caught', async () => {
    const tenant = tenantOf()
    const how = randomUUID()
    const count = async () => {
      const { body } = await as(tenant, 'GET /rooms?limit=100')
      return body.data.filter(({ name }: { name: string }) => name === `undone ${how}`).length
    }
    expect((await as(tenant, `POST /answers/${how}`)).status).toBe(200)
    expect(await count()).toBe(0)
    const kept = await as(tenant, `POST /answers/${how}`, undefined, { 'idempotency-key': randomUUID() })
    expectProblem(kept, { status: 409, code: 'SLOT_TAKEN' })
    expect(await count()).toBe(0)
  })

  test('a failed request under an Idempotency-Key leaves nothing, and can be tried again', async () => {
    const tenant = tenantOf()
    const id = await room(tenant)
    await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'tuesday' })
    const headers = { 'idempotency-key': randomUUID() }
    const taken = await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'tuesday' }, headers)
    expectProblem(taken, { status: 409, code: 'SLOT_TAKEN' })
    const free = await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'wednesday' }, headers)
    expect([free.status, free.headers.get('idempotency-replayed')]).toEqual([201, null])
  })

  test('rows written before a handler failed remain, but not under an Idempotency-Key', async () => {
    const tenant = tenantOf()
    const left = async () => {
      const { body } = await as(tenant, 'GET /rooms?limit=200')
      return body.data.filter(({ name }: { name: string }) => name === 'Left behind').length
    }
    await as(tenant, 'POST /faults/written', undefined, { 'idempotency-key': randomUUID() })
    expect(await left()).toBe(0)
    await as(tenant, 'POST /faults/written')
    expect(await left()).toBe(1)
  })

  test('lists have signed cursors that are valid for the same list only', async () => {
    const tenant = tenantOf()
    const [id, other] = [await room(tenant), await room(tenant)]
    for (const slot of ['a', 'b', 'c']) await as(tenant, `POST /rooms/${id}/bookings`, { slot })
    const first = await as(tenant, `GET /rooms/${id}/bookings`)
    expect(first.body.data.map(({ slot }: { slot: string }) => slot)).toEqual(['a', 'b'])
    expect(first.headers.get('link')).toContain('rel="next"')
    const next = await as(tenant, `GET /rooms/${id}/bookings?cursor=${first.body.nextCursor}`)
    expect(next.body).toEqual({ data: [{ id: expect.any(String), slot: 'c' }], nextCursor: null })
    const elsewhere = await as(tenant, `GET /rooms/${other}/bookings?cursor=${first.body.nextCursor}`)
    expectProblem(elsewhere, { status: 400, code: 'INVALID_CURSOR' })
  })

  test.each([
    ['table', 500, 'INTERNAL_ERROR'],
    ['column', 500, 'INTERNAL_ERROR'],
    ['function', 500, 'INTERNAL_ERROR'],
    ['syntax', 500, 'INTERNAL_ERROR'],
    ['reference', 404, 'REFERENCE_NOT_FOUND', ['/roomId']],
    ['unique', 409, 'CONFLICT', ['/name']],
    ['check', 400, 'VALIDATION_FAILED', ['/seats']],
    ['value', 400, 'VALIDATION_FAILED', ['']],
    ['undeclared', 500, 'INTERNAL_ERROR'],
    ['plain', 500, 'INTERNAL_ERROR'],
    ['closed', 503, 'CLOSED_TODAY'],
    ['unwritable', 500, 'INTERNAL_ERROR'],
    ['inherited', 500, 'INTERNAL_ERROR'],
    ['replaced', 503, 'CLOSED_TODAY'],
  ])('a handler that meets %s is answered %i %s', async (kind, status, code, pointers?: string[]) => {
    for (const headers of [{}, { 'idempotency-key': randomUUID() }]) {
      const answer = await as(tenantOf(), `POST /faults/${kind}`, undefined, headers)
      expectProblem(answer, { status, code, ...(pointers && { pointers }) })
      expect(answer.text).not.toMatch(/secret|nowhere|no-uuid|select/)
    }
  })

  test('the handler knows its caller: a user, a key, or an ancestor that acts for the tenant', async () => {
    const tenant = tenantOf()
    const person = await as(tenant, 'GET /whoami')
    expect(person.body).toMatchObject({
      ...{ id: tenant.id, code: tenant.code, kind: 'user', home: tenant.id, actingFor: null, mayWrite: true },
    })
    const headers = await keyOf(tenant, ['bookings:read'])
    const program = await gateway.call('GET', `${API}/whoami`, { headers })
    expect(program.body).toMatchObject({ id: tenant.id, kind: 'client-key', mayWrite: false })
    const parent = await gateway.createTenant()
    await gateway.operator('PATCH', `/tenants/${tenant.id}`, { parentId: parent.id })
    const acting = await as(parent, 'GET /whoami', undefined, { 'x-account-id': tenant.code })
    expect(acting.body).toMatchObject({ id: tenant.id, home: parent.id, actingFor: { code: tenant.code } })
  })
})

describe('who may call', () => {
  test('a caller of a tenant needs the permission of the route, which the tenant can grant', async () => {
    const headers = await keyOf(shared, ['rooms:*'])
    const refused = await gateway.call('GET', `${API}/whoami`, { headers })
    expectProblem(refused, { status: 403, code: 'PERMISSION_DENIED', required: 'bookings:read' })
    const { body } = await as(shared, 'GET /permissions')
    const declared = [
      'bookings:read',
      'bookings:write',
      'faults:run',
      'imports:write',
      'reports:export',
      'rooms:read',
      'rooms:write',
    ]
    expect(body.data.filter((name: string) => declared.includes(name))).toEqual(declared)
  })

  test('a tenant’s route refuses a caller without a credential, and an operator', async () => {
    expectProblem(await gateway.call('GET', `${API}/whoami`), { status: 401, code: 'UNAUTHENTICATED' })
    expectProblem(await gateway.operator('GET', '/whoami'), { status: 403, code: 'PERMISSION_DENIED' })
  })

  test('operators’ routes are for operators only, viewers can only read, and there is no tenant', async () => {
    expect((await gateway.operator('GET', '/counts')).body).toEqual({ kind: 'operator' })
    expect((await gateway.operator('POST', '/counts')).body).toEqual({ ok: true })
    expectProblem(await as(shared, 'GET /counts'), { status: 403, code: 'OPERATOR_REQUIRED' })
    const viewer = await gateway.operator('POST', '/operators', { name: 'v', role: 'viewer' })
    const token = viewer.body.token as string
    expect((await gateway.call('GET', `${API}/counts`, { token })).status).toBe(200)
    expect((await gateway.call('POST', `${API}/counts`, { token })).status).toBe(403)
    expectProblem(await gateway.operator('GET', '/leaks'), { status: 500, code: 'INTERNAL_ERROR' })
  })
})

describe('what may be sent', () => {
  test('values in query and path are coerced, and in bodies are not', async () => {
    expect((await gateway.call('GET', `${API}/opening-hours?day=3`)).body).toEqual({ day: 3 })
    const exact = await gateway.call('POST', `${API}/opening-hours`, { body: { day: '3' } })
    expectProblem(exact, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/day'] })
  })

  test('an undeclared member is refused, also a tenant', async () => {
    const query = await gateway.call('GET', `${API}/opening-hours?day=3&tenantId=${own.id}`)
    expectProblem(query, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/tenantId'] })
    const body = { slot: 'x', tenantId: own.id }
    const named = await as(shared, `POST /rooms/${await room(shared)}/bookings`, body)
    expectProblem(named, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/tenantId'] })
    expect((await as(shared, 'GET /whoami?x=1')).status).toBe(400)
    expect((await as(shared, 'POST /faults/closed', { x: 1 })).status).toBe(400)
  })

  test('a malformed id is not found', async () => {
    expectProblem(await as(shared, 'GET /rooms/1/bookings'), { status: 404, code: 'NOT_FOUND' })
  })

  test('a parser of a plugin applies to the routes of the plugin only', async () => {
    const headers = { 'content-type': 'text/csv' }
    expect((await as(shared, 'PUT /imports', 'a\nb', headers)).body).toEqual({ lines: 2 })
    const elsewhere = await as(shared, `POST /rooms/${UNKNOWN_ID}/bookings`, 'a', headers)
    expectProblem(elsewhere, { status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' })
  })

  test('an answer that is not JSON cannot be stored for a key', async () => {
    expect((await as(shared, 'POST /faults/stream')).status).toBe(200)
    const kept = await as(shared, 'POST /faults/stream', undefined, { 'idempotency-key': 'x' })
    expectProblem(kept, { status: 500, code: 'INTERNAL_ERROR' })
  })
})

test('an audit entry of a handler is in the tenant’s log under its caller, unless it was rolled back', async () => {
  const tenant = await gateway.createTenant()
  const id = await room(tenant)
  await as(tenant, `POST /rooms/${id}/bookings`, { slot: 'kept' }, { 'idempotency-key': randomUUID() })
  await as(tenant, 'POST /faults/plain', undefined, { 'idempotency-key': randomUUID() })
  const log = async () => (await as(tenant, 'GET /audit-log')).body.data
  const told = (rows: { action: string }[]) => rows.filter(({ action }) => /^(booking|fault)\./.test(action))
  await expect
    .poll(async () => told(await log()))
    .toMatchObject([{ action: 'booking.create', after: { slot: 'kept' }, actor: { type: 'user' } }])
})

test('on a database with an older schema, a route that needs more is 503, and the others work', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bookings-'))
  await cp(application.migrations, folder, { recursive: true })
  await writeFile(join(folder, '0001_floors.sql'), 'ALTER TABLE rooms ADD COLUMN floor integer;')
  const access = 'rooms:read'
  const later = defineApplication({
    ...{ name: 'bookings', tables, migrations: folder, resources: application.resources },
    routes: ({ tenant }) => {
      tenant.get('/floors', { access }, async ({ tenant: { db } }) =>
        db.execute(sql`select floor from rooms`),
      )
      tenant.post('/floors', { access }, async (request) =>
        request.tenant.transaction((db) => db.execute(sql`update rooms set floor = 1`)),
      )
    },
  })
  const next = await startGateway(stage, { MIGRATE_ON_START: 'catalog' }, later)
  try {
    const call = (method: string, path: string) => next.call(method, `${API}${path}`, { token: shared.token })
    for (const method of ['GET', 'POST'])
      expectProblem(await call(method, '/floors'), { status: 503, code: 'TENANT_SCHEMA_OUT_OF_DATE' })
    expect((await call('GET', '/rooms')).status).toBe(200)
  } finally {
    await next.close()
    await rm(folder, { recursive: true })
  }
})

test('the document describes the application’s routes and error codes too', async () => {
  const { body } = await gateway.call('GET', '/openapi.json')
  const route = body.paths['/api/v1/rooms/{id}/bookings'].post
  expect(route).toMatchObject({
    operationId: 'postRoomsByIdBookings',
    tags: ['rooms'],
    summary: 'POST /rooms/:id/bookings',
  })
  const named = route.parameters.map(
    ({ $ref = '' }: { $ref?: string }) => body.components.parameters[$ref.split('/').at(-1) ?? ''],
  )
  expect(named).toContainEqual(expect.objectContaining({ name: 'idempotency-key', in: 'header' }))
  const conflict = body.components.responses[route.responses['409'].$ref.split('/').at(-1)]
  expect(conflict.description).toContain('`SLOT_TAKEN`: The slot is taken.')
  expect(body.components.schemas.Problem.properties.code.enum).toContain('SLOT_TAKEN')
  expect(body.components.examples.SLOT_TAKEN.value).toMatchObject({ status: 409, code: 'SLOT_TAKEN' })
  expect(body.paths['/api/v1/opening-hours'].get.security).toEqual([])
})
