import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { readPages } from './pages.ts'
import { API, expectProblem, moveToOwnDatabase, UNKNOWN_ID } from './support.ts'

let stage: Stage
let gateway: TestGateway
let tenant: TestTenant
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  tenant = await gateway.createTenant()
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const PASSWORD = 'a long enough password'
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }
const list = (asked = '') => gateway.operator('GET', `/audit-log?${asked}`)
const rowsOf = async (asked: string) => (await list(`limit=200&${asked}`)).body.data as Entry[]
/** The entries of the tenant itself. The login of its administrator is left out, because it is written a moment later. */
const changesOf = async (id: string) =>
  (await rowsOf(`tenantId=${id}`)).filter(({ action }) => action.startsWith('tenant.'))

interface Entry {
  readonly id: string
  readonly at: string
  readonly action: string
  readonly actor: { readonly type: string; readonly id: string }
  readonly tenantId: string | null
  readonly requestId: string | null
  readonly address: string | null
  readonly before: Record<string, unknown> | null
  readonly after: Record<string, unknown> | null
}

/** Sends one request as the bootstrap operator, and returns its one audit entry. */
async function entryOf(method: string, path: string, body?: unknown): Promise<{ entry: Entry; body: Made }> {
  const requestId = crypto.randomUUID()
  const answer = await gateway.call(method, `${API}${path}`, {
    token: stage.operatorToken,
    headers: { 'x-request-id': requestId },
    ...(body !== undefined && { body }),
  })
  expect(answer.status, answer.text).toBeLessThan(300)
  const entries = (await rowsOf('')).filter((row) => row.requestId === requestId)
  expect(entries).toHaveLength(1)
  return { entry: entries[0] as Entry, body: answer.body }
}
interface Made {
  readonly id: string
}

const BY_OPERATOR = { actor: { type: 'operator', id: 'bootstrap' }, address: expect.any(String) }
const isAboutHome = (action: string) => action === 'tenant.home' || action.startsWith('tenant.database.')
const databasePath = (id: string) => `/tenants/${id}/database`
const nowhere = { connectionString: 'postgresql://someone:secret-of-nowhere@db.invalid/data' }

describe('every change leaves an entry', () => {
  test('with exactly these fields', async () => {
    const { entry, body } = await entryOf('POST', '/tenants', { code: 'audited', name: 'Audited' })
    expect(entry).toEqual({
      ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), at: expect.stringMatching(/Z$/) },
      seq: expect.any(Number),
      ...{ action: 'tenant.create', actor: BY_OPERATOR.actor, tenantId: body.id, actedForTenantId: null },
      ...{ requestId: expect.any(String), address: expect.stringMatching(/127\.0\.0\.1$/), before: null },
      after: { code: 'audited', name: 'Audited', parentId: null, authConfig: expect.any(Object) },
    })
    expect(Math.abs(Date.now() - Date.parse(entry.at))).toBeLessThan(60_000)
  })

  test('for a tenant, with the state before and after', async () => {
    const { id } = await gateway.createTenant()
    const { entry } = await entryOf('PATCH', `/tenants/${id}`, { name: 'Renamed', status: 'INACTIVE' })
    expect(entry).toMatchObject({ ...BY_OPERATOR, action: 'tenant.update', tenantId: id })
    expect(entry.before).toEqual({ name: expect.stringMatching(/^Tenant /), status: 'ACTIVE' })
    expect(entry.after).toEqual({ name: 'Renamed', status: 'INACTIVE' })
  })

  test('for its database: registered, validated again, removed', async () => {
    const { id } = await gateway.createTenant()
    const put = await entryOf('PUT', databasePath(id), nowhere)
    const shown = { slot: 'current', host: 'db.invalid', databaseName: 'data', userName: 'someone' }
    expect(put.entry).toMatchObject({
      ...BY_OPERATOR,
      action: 'tenant.database.put',
      tenantId: id,
      after: shown,
    })
    await gateway.waitForDatabase(id)
    const validate = await entryOf('POST', `${databasePath(id)}/validate`)
    expect(validate.entry).toMatchObject({ ...BY_OPERATOR, action: 'tenant.database.validate', tenantId: id })
    const gone = await entryOf('DELETE', databasePath(id))
    expect(gone.entry).toMatchObject({ ...BY_OPERATOR, action: 'tenant.database.delete', before: shown })
    expect(JSON.stringify(await rowsOf(`tenantId=${id}`))).not.toContain('secret-of-nowhere')
  })

  test('for changes by the service itself: status and placement', async () => {
    const { id } = await gateway.createTenant()
    await gateway.registerDatabase(id, nowhere.connectionString)
    const [failed] = await rowsOf(`tenantId=${id}&action=tenant.database.status`)
    expect(failed).toMatchObject({
      ...{ actor: { type: 'system', id: 'health' }, requestId: null, address: null },
      ...{
        before: { status: 'pending_validation' },
        after: { status: 'failed', lastErrorCode: 'DNS_FAILED' },
      },
    })
    await moveToOwnDatabase(gateway, id)
    const [home] = await rowsOf(`tenantId=${id}&action=tenant.home`)
    expect(home).toMatchObject({
      actor: { type: 'system', id: 'validation' },
      before: { placement: 'shared', epoch: 1 },
      after: { placement: 'dedicated', epoch: 2 },
    })
    const left = await entryOf('DELETE', databasePath(id))
    expect(left.entry).toMatchObject({
      ...BY_OPERATOR,
      action: 'tenant.home',
      after: { placement: 'shared' },
    })
  })

  test('for its users, by operators and by the tenant', async () => {
    const path = `/tenants/${tenant.id}/users`
    const input = { email: 'ann@people.example', password: PASSWORD }
    const { entry, body } = await entryOf('POST', path, input)
    const after = { userId: body.id, email: input.email, roles: [] }
    expect(entry).toMatchObject({ ...BY_OPERATOR, action: 'user.create', tenantId: tenant.id, after })
    const token = tenant.token
    const made = await gateway.call('POST', `${API}/users`, {
      token,
      body: { ...input, email: 'b@c.example' },
    })
    const { body: me } = await gateway.call('GET', `${API}/auth/me`, { token })
    const [byUser] = await rowsOf(`actor=${me.user.id}`)
    expect(byUser).toMatchObject({
      ...{ action: 'user.create', actor: { type: 'user', id: me.user.id }, tenantId: tenant.id },
      after: { userId: made.body.id },
    })
  })

  test('for its client keys, by operators and by the tenant', async () => {
    const path = `/tenants/${tenant.id}/client-keys`
    const input = { name: 'Import', permissions: ['client-keys:write'] }
    const { entry, body } = await entryOf('POST', path, input)
    expect(entry).toMatchObject({
      ...BY_OPERATOR,
      action: 'client-key.create',
      after: { ...input, id: body.id },
    })
    const { key } = body as unknown as { key: string }
    const headers = { 'x-client-key': key, 'x-tenant-code': tenant.code }
    await gateway.call('POST', `${API}/client-keys`, { headers, body: input })
    const [byKey] = await rowsOf(`actor=${body.id}`)
    expect(byKey).toMatchObject({ action: 'client-key.create', actor: { type: 'client-key', id: body.id } })
    const revoked = await entryOf('DELETE', `${path}/${body.id}`)
    expect(revoked.entry).toMatchObject({ action: 'client-key.revoke', before: { id: body.id } })
    expect((await list('limit=200')).text).not.toContain(key.slice(-43))
  })

  test('for operators, without a tenant', async () => {
    const { entry, body } = await entryOf('POST', '/operators', { name: 'Watch', role: 'viewer' })
    const shown = { id: body.id, name: 'Watch', role: 'viewer' }
    expect(entry).toMatchObject({ ...BY_OPERATOR, action: 'operator.create', tenantId: null, after: shown })
    const revoked = await entryOf('DELETE', `/operators/${body.id}`)
    expect(revoked.entry).toMatchObject({ action: 'operator.revoke', tenantId: null, before: shown })
  })

  test('but not for requests that changed nothing or were refused', async () => {
    const before = await rowsOf('')
    await gateway.operator('PATCH', `/tenants/${tenant.id}`, { status: 'ACTIVE' })
    await gateway.operator('PATCH', `/tenants/${tenant.id}`, { parentId: UNKNOWN_ID })
    await gateway.operator('POST', '/tenants', { code: tenant.code, name: 'x' })
    await gateway.operator('POST', '/operators', { name: 'x', role: 'root' })
    await gateway.operator('DELETE', databasePath(tenant.id))
    await gateway.call('POST', `${API}/operators`, {
      token: tenant.token,
      body: { name: 'x', role: 'admin' },
    })
    expect(await rowsOf('')).toEqual(before)
  })

  test('and no entry can be changed later, not even by the gateway', async () => {
    for (const sql of ["UPDATE audit_log SET actor_id = 'x'", 'DELETE FROM audit_log', 'TRUNCATE audit_log'])
      await expect(query(stage.catalogUrl, sql)).rejects.toThrow()
  })
})

describe('GET /audit-log', () => {
  let admin: { id: string; token: string }
  let spare: string
  beforeAll(async () => {
    admin = (await gateway.operator('POST', '/operators', { name: 'Admin', role: 'admin' })).body
    spare = (await gateway.createTenant()).id
    for (const name of ['one', 'two', 'three'])
      await gateway.call('PATCH', `${API}/tenants/${spare}`, { token: admin.token, body: { name } })
  })

  describe('200', () => {
    test('newest first, in pages, each entry once', async () => {
      const all = await rowsOf('')
      const ids = all.map(({ id }) => id)
      expect(ids).toEqual(ids.toSorted().toReversed())
      const walk = { token: stage.operatorToken, query: 'limit=3' }
      expect(await readPages(gateway, '/audit-log', walk)).toEqual(all)
    })

    test('filtered by tenant, in any spelling of its id', async () => {
      for (const id of [spare, spare.toUpperCase()]) {
        const found = await changesOf(id)
        expect(found.map(({ action }) => action)).toEqual([
          ...['tenant.update', 'tenant.update', 'tenant.update', 'tenant.create'],
        ])
      }
      expect(await rowsOf(`tenantId=${UNKNOWN_ID}`)).toEqual([])
    })

    test('filtered by actor and by action, together and alone', async () => {
      expect(await rowsOf(`actor=${admin.id}`)).toHaveLength(3)
      expect(await rowsOf(`actor=${admin.id}&action=tenant.update`)).toHaveLength(3)
      expect(await rowsOf(`actor=${admin.id}&action=tenant.create`)).toEqual([])
      const created = await rowsOf('action=tenant.create')
      expect(new Set(created.map(({ action }) => action))).toEqual(new Set(['tenant.create']))
      expect(await rowsOf('action=tenant')).toEqual([])
    })

    test('filtered by time: from a moment on, before a moment, in any time zone', async () => {
      const found = await changesOf(spare)
      const [, second] = found as [Entry, Entry]
      const names = async (asked: string) =>
        (await rowsOf(`actor=${admin.id}&${asked}`)).map(({ after }) => after?.name)
      // Answers have milliseconds, and the catalog has microseconds. The next millisecond is after the entry.
      const past = new Date(Date.parse(second.at) + 1).toISOString()
      expect(await names(`from=${second.at}`)).toEqual(['three', 'two'])
      expect(await names(`to=${past}`)).toEqual(expect.arrayContaining(['two', 'one']))
      expect(await names(`to=${second.at}`)).not.toContain('three')
      const zoned = new Date(Date.parse(second.at) + 3_600_000).toISOString().replace('Z', '%2B01:00')
      expect(await names(`from=${zoned}`)).toEqual(['three', 'two'])
      expect(await rowsOf('from=2999-01-01T00:00:00Z')).toEqual([])
    })
  })

  describe('400', () => {
    test.each(['2016-12-31T23:59:60Z', '0000-01-01T00:00:00Z', '9999-12-31T23:59:59-23:59'])(
      'a time that no database can store: %s',
      async (moment) => {
        for (const bound of ['from', 'to'])
          expectProblem(await list(`${bound}=${moment}`), { ...INVALID, pointers: [`/${bound}`] })
      },
    )

    test.each([
      ['limit=0', '/limit'],
      ['tenantId=acme', '/tenantId'],
      ['from=yesterday', '/from'],
      ['to=2026-01-01', '/to'],
      ['actor=', '/actor'],
      ['after=x', '/after'],
    ])('?%s', async (asked, pointer) => {
      expectProblem(await list(asked), { ...INVALID, pointers: [pointer] })
    })

    test('an invalid cursor', async () => {
      expectProblem(await list('cursor=x'), { status: 400, code: 'INVALID_CURSOR' })
    })
  })
})

describe.each(['shared', 'own'] as const)("a tenant's auditor, in a %s database", (home) => {
  let audited: TestTenant
  beforeAll(async () => {
    audited = await gateway.createTenant()
    if (home === 'own') await moveToOwnDatabase(gateway, audited.id)
    await gateway.operator('PATCH', `/tenants/${audited.id}`, { name: 'Audited' })
  })
  const look = (asked = '') =>
    gateway.call('GET', `${API}/audit-log?limit=200&${asked}`, { token: audited.token })

  test('200: sees the entries of the tenant and no others', async () => {
    const { body } = await look()
    const all = await changesOf(audited.id)
    // The entry of a login is written a moment after the answer.
    const seen = (body.data as Entry[]).filter(({ action }) => !action.startsWith('auth.'))
    expect(seen).toEqual(all.filter(({ action }) => !isAboutHome(action)))
    expect(seen.length).toBeGreaterThan(1)
    const { body: updates } = await look('action=tenant.update')
    expect(updates.data).toHaveLength(1)
  })

  test('200: does not see where the tenant lives, because only operators may know it', async () => {
    const role = await createRole()
    const database = await createDatabase({ owner: role.name })
    await gateway.registerDatabase(audited.id, urlFor({ role, database }))
    expect((await rowsOf(`tenantId=${audited.id}`)).some(({ action }) => isAboutHome(action))).toBe(true)
    const { text } = await look()
    for (const told of [database, role.name, role.password, 'dedicated', 'postgresql://'])
      expect(text).not.toContain(told)
    for (const action of ['tenant.home', 'tenant.database.put', 'tenant.database.status'])
      expect((await look(`action=${action}`)).body.data).toEqual([])
  })

  test('400: may not filter by tenant, not even by its own', async () => {
    for (const id of [audited.id, tenant.id])
      expectProblem(await look(`tenantId=${id}`), { ...INVALID, pointers: ['/tenantId'] })
  })

  test('403: needs audit:read', async () => {
    const keyed = async (permissions: string[]) => {
      const body = { name: 'auditor', permissions }
      const made = await gateway.operator('POST', `/tenants/${audited.id}/client-keys`, body)
      const headers = { 'x-client-key': made.body.key, 'x-tenant-code': audited.code }
      return gateway.call('GET', `${API}/audit-log`, { headers })
    }
    expectProblem(await keyed(['properties:*', 'users:*']), {
      ...{ status: 403, code: 'PERMISSION_DENIED', required: 'audit:read' },
    })
    expect((await keyed(['audit:read'])).status).toBe(200)
  })
})
