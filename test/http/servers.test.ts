import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parseConnectionString } from '../../src/lib/postgres/connection-string.ts'
import { createRole, dropAll, query, type RoleOptions, superuserUrl, urlFor } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { TcpProxy } from '../support/tcp-proxy.ts'
import { createTenantDatabase } from '../support/tenant-database.ts'
import { databaseCalls } from './database-calls.ts'
import { expectProblem, moveToOwnDatabase, UNKNOWN_ID } from './support.ts'

const { host, port, database } = parseConnectionString(superuserUrl())
const MOMENT = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)
const NONE = { status: 404, code: 'NOT_FOUND' }
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }

let stage: Stage
let gateway: TestGateway
/** The same server under another address. */
let proxy: TcpProxy
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  proxy = await TcpProxy.start({ host, port })
})
afterAll(async () => {
  await gateway?.close()
  await proxy?.close()
  await dropAll()
})

const { put } = databaseCalls(() => gateway)
const catalog = (sql: string, params: unknown[] = []) =>
  query(superuserUrl(new URL(stage.catalogUrl).pathname.slice(1)), sql, params)
const ADMINISTRATOR = { createdb: true, createrole: true }
/** The connection string of a new role. */
async function administrator(options: RoleOptions = ADMINISTRATOR, at: { port?: number } = {}) {
  const role = await createRole(options)
  return { role, connectionString: urlFor({ role, database, ...at }) }
}
const add = (body: object) =>
  gateway.operator('POST', '/servers', { name: `s-${randomBytes(4).toString('hex')}`, ...body })
const change = (id: string, body: object) => gateway.operator('PATCH', `/servers/${id}`, body)
const find = async (id: string) => (await gateway.operator('GET', `/servers/${id}`)).body
const remove = (id: string) => gateway.operator('DELETE', `/servers/${id}`)
const ofServers = async () => {
  const { body } = await gateway.operator('GET', '/audit-log?limit=200')
  return (body.data as { action: string; after: object }[]).filter(({ action }) =>
    action.startsWith('server.'),
  )
}
/** Why a connection string was refused. */
function expectRefused(answer: Awaited<ReturnType<typeof add>>, message: RegExp) {
  expectProblem(answer, { ...INVALID, pointers: ['/connectionString'] })
  expect(answer.body.errors[0].message).toMatch(message)
}

const currentRole = async () => String((await catalog('select user_name as name from servers'))[0]?.name)

describe('a server', () => {
  let id: string
  let admin: Awaited<ReturnType<typeof administrator>>
  beforeAll(async () => {
    admin = await administrator()
    const answer = await add({ name: 'First', connectionString: admin.connectionString, region: 'eu' })
    expect(answer.status, answer.text).toBe(201)
    id = answer.body.id
    expect(answer.body).toEqual({
      ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), name: 'First', host, port, region: 'eu' },
      ...{ capacity: 100, databases: 0, ready: { wanted: 0, available: 0 } },
      ...{ status: 'active', lastError: null, createdAt: MOMENT },
    })
  })
  afterAll(async () => {
    expect((await remove(id)).status).toBe(204)
    expectProblem(await gateway.operator('GET', `/servers/${id}`), NONE)
  })

  test('is found and listed, and no answer, log line or entry of the catalog shows the password', async () => {
    expect(await find(id)).toMatchObject({ name: 'First' })
    const list = await gateway.operator('GET', '/servers')
    expect(list.body).toMatchObject({ data: [{ id }], nextCursor: null })
    const rows = await catalog(
      "select t::text || encode(sealed_connection_string, 'escape') as t from servers t",
    )
    expect(rows).toHaveLength(1)
    const shown = [list.text, gateway.log(), JSON.stringify(await ofServers()), JSON.stringify(rows)].join()
    expect(shown).toContain(admin.role.name)
    expect(shown).not.toContain(admin.role.password)
  })

  test('200: PATCH changes what is given, and the audit log has both states', async () => {
    expect((await change(id, { name: 'Renamed', region: null, capacity: 7 })).body).toMatchObject({
      ...{ name: 'Renamed', region: null, capacity: 7, status: 'active' },
    })
    expect((await change(id, { status: 'draining' })).body.status).toBe('draining')
    expect((await change(id, { status: 'active', name: 'First' })).body).toMatchObject({
      ...{ name: 'First', capacity: 7, status: 'active' },
    })
    const [latest] = await ofServers()
    expect(latest).toMatchObject({
      ...{ action: 'server.update', tenantId: null, actor: { type: 'operator' } },
      before: { serverId: id, name: 'Renamed', status: 'draining' },
      after: { serverId: id, name: 'First', status: 'active', userName: admin.role.name },
    })
  })

  test('200: another connection string is checked like the first one, and is then the one in use', async () => {
    const other = await administrator()
    const wrong = other.connectionString.replace(other.role.password, 'wrong')
    expectRefused(await change(id, { connectionString: wrong }), /^AUTHENTICATION_FAILED: /)
    expect((await change(id, { connectionString: other.connectionString })).status).toBe(200)
    await query(superuserUrl(), `alter role ${admin.role.name} nologin`)
    const [{ checked }] = (await catalog('select last_checked_at as checked from servers')) as [
      { checked: Date },
    ]
    const latest = async () => (await catalog('select last_checked_at as at from servers'))[0]?.at
    await expect.poll(latest, { timeout: 60_000 }).not.toEqual(checked)
    expect(await find(id)).toMatchObject({ status: 'active', lastError: null })
  })

  test('409: another server may have neither its name, in any case, nor its address', async () => {
    const { connectionString } = await administrator()
    const elsewhere = await administrator(ADMINISTRATOR, { port: proxy.port })
    const taken = { status: 409, code: 'CONFLICT' }
    expectProblem(await add({ connectionString }), taken)
    expectProblem(await add({ connectionString: elsewhere.connectionString, name: 'FIRST' }), taken)
  })

  test('becomes unreachable when its role loses a right, and active again when the right is back', async () => {
    const role = await currentRole()
    await query(superuserUrl(), `alter role ${role} nocreaterole`)
    const state = async () => [(await find(id)).status, (await find(id)).lastError?.code]
    await expect.poll(state, { timeout: 60_000 }).toEqual(['unreachable', 'PERMISSION_MISSING'])
    expect((await find(id)).lastError).toEqual({
      ...{ code: 'PERMISSION_MISSING', message: 'The role lacks CREATEROLE', at: MOMENT },
    })
    await query(superuserUrl(), `alter role ${role} createrole`)
    await expect.poll(state, { timeout: 60_000 }).toEqual(['active', undefined])
    expect(gateway.log()).toContain('server can be used again')
  })

  test('is unreachable while another server answers at its address, and takes no connection string to it', async () => {
    const [{ own }] = (await catalog('select system_identifier as own from servers')) as [{ own: string }]
    await catalog("update servers set system_identifier = '1'")
    await expect
      .poll(async () => (await find(id)).lastError?.code, { timeout: 60_000 })
      .toBe('IDENTITY_MISMATCH')
    const { connectionString } = await administrator()
    expectRefused(await change(id, { connectionString }), /^IDENTITY_MISMATCH: Another server/)
    await catalog('update servers set system_identifier = $1', [own])
    await expect.poll(async () => (await find(id)).status, { timeout: 60_000 }).toBe('active')
  })

  test('cannot be used if its sealed value was copied from another version of the row', async () => {
    await catalog('update servers set row_version = row_version + 1')
    await expect.poll(async () => (await find(id)).status, { timeout: 60_000 }).toBe('unreachable')
    await catalog('update servers set row_version = row_version - 1')
    await expect.poll(async () => (await find(id)).status, { timeout: 60_000 }).toBe('active')
  })

  test('409: stays while a tenant lives there, also under another address of the server', async () => {
    for (const at of [{}, { port: proxy.port }]) {
      const tenant = await gateway.createTenant()
      const { url } = await createTenantDatabase()
      await gateway.registerDatabase(tenant.id, Object.assign(new URL(url), at).href)
      expect(await find(id)).toMatchObject({ databases: 1 })
      expectProblem(await remove(id), { status: 409, code: 'SERVER_IN_USE' })
      expect((await databaseCalls(() => gateway).remove(tenant.id)).status).toBe(204)
      expect(await find(id)).toMatchObject({ databases: 0 })
    }
  })

  test("the role of a tenant's database may not administer it, by any address of the server", async () => {
    const role = await currentRole()
    const password = randomBytes(8).toString('hex')
    await query(superuserUrl(), `alter role ${role} password '${password}'`)
    const [tenant, second] = [await gateway.createTenant(), await gateway.createTenant()]
    const as = (name: string) => ({ role: { name, password }, database })
    expectRefused(await put(tenant.id, { connectionString: urlFor(as(role)) }), /administrator of a server/)
    // By another address it is found by the validation only, as is a role that may become the administrator.
    const member = await createRole({ password })
    await query(superuserUrl(), `grant ${role} to ${member.name}`)
    for (const [{ id: tenantId }, name] of [
      [tenant, role],
      [second, member.name],
    ] as const) {
      const url = urlFor({ ...as(name), port: proxy.port })
      const { status, lastError } = await gateway.registerDatabase(tenantId, url)
      expect([status, lastError.code]).toEqual(['failed', 'ROLE_BYPASSES_RLS'])
      expect(lastError.message).toMatch(/^The user administers this server/)
    }
  })
})

describe('400: POST /servers', () => {
  test.each([
    [{}, ['/connectionString', '/name']],
    [{ name: '' }, ['/connectionString', '/name']],
    [{ name: 'x', connectionString: 1 }, ['/connectionString']],
    [{ name: 'x', connectionString: 'hello' }, ['/connectionString']],
    [{ name: 'x', connectionString: 'mysql://u:p@127.0.0.1/d' }, ['/connectionString']],
    [{ name: 'x', connectionString: 'postgresql://u:p@169.254.169.254/d' }, ['/connectionString']],
    [{ name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', capacity: -1 }, ['/capacity']],
    [{ name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', capacity: '5' }, ['/capacity']],
    [{ name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', ready: 1 }, ['/ready']],
    [{ name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', ready: -1 }, ['/ready']],
    [{ name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', region: '' }, ['/region']],
    [{ name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', status: 'draining' }, ['/status']],
    [
      { name: 'x', connectionString: 'postgresql://u:p@127.0.0.1:1/d', caCertificate: '/etc/passwd' },
      ['/caCertificate'],
    ],
  ])('%j', async (body, pointers) => {
    const answer = await gateway.operator('POST', '/servers', body)
    expectProblem(answer, INVALID)
    const found = (answer.body.errors as { pointer: string }[]).map(({ pointer }) => pointer)
    expect(found.toSorted()).toEqual(pointers)
    expect(answer.text).not.toContain('u:p')
  })

  const changed = (connectionString: string, parts: Partial<URL>) =>
    Object.assign(new URL(connectionString), parts).href
  const of = async (rights: RoleOptions, parts: Partial<URL> = {}) =>
    changed((await administrator(rights)).connectionString, parts)
  const cases: [string, () => Promise<string>, RegExp][] = [
    ['no server', async () => 'postgresql://u:p@127.0.0.1:1/d', /^CONNECTION_REFUSED: /],
    ['a wrong password', () => of(ADMINISTRATOR, { password: 'wrong' }), /^AUTHENTICATION_FAILED: /],
    ['no such database', () => of(ADMINISTRATOR, { pathname: '/none' }), /^DATABASE_DOES_NOT_EXIST: /],
    ['a server without TLS', () => of(ADMINISTRATOR, { search: '?sslmode=require' }), /^TLS_FAILED: /],
    ['a superuser', async () => superuserUrl(), /^ROLE_BYPASSES_RLS: The role is a superuser/],
    ['a member of a superuser', memberOfSuperuser, /^ROLE_BYPASSES_RLS: The role is a superuser/],
    ['a role without rights', () => of({}), /^PERMISSION_MISSING: .* lacks CREATEDB and CREATEROLE$/],
    ['a role without CREATEROLE', () => of({ createdb: true }), /lacks CREATEROLE$/],
    ['a role without CREATEDB', () => of({ createrole: true }), /lacks CREATEDB$/],
    ['the role of a tenant', roleOfTenant, /^a role that serves a tenant may not/],
    ['the catalog', async () => stage.catalogUrl, /not for tenants/],
  ]
  test.each(cases)('%s', async (_, connectionString, message) => {
    const before = (await ofServers()).length
    expectRefused(await add({ connectionString: await connectionString() }), message)
    expect((await gateway.operator('GET', '/servers')).body.data).toEqual([])
    expect(await ofServers()).toHaveLength(before)
  })

  async function memberOfSuperuser() {
    const { role, connectionString } = await administrator()
    const superuser = await createRole({ superuser: true, login: false })
    await query(superuserUrl(), `grant ${superuser.name} to ${role.name}`)
    return connectionString
  }

  /** By another address than the tenant's, so that the server's own identifier decides. */
  async function roleOfTenant() {
    const { id } = await gateway.createTenant()
    const url = await moveToOwnDatabase(gateway, id)
    await query(superuserUrl(), `alter role ${new URL(url).username} createdb createrole`)
    return Object.assign(new URL(url), { port: proxy.port, pathname: `/${database}` }).href
  }
})

describe('a server that accepts connections and never answers', () => {
  test('400: ends the request', async () => {
    const { connectionString } = await administrator(ADMINISTRATOR, { port: proxy.port })
    await proxy.setMode('black-hole')
    const answer = await add({ connectionString }).finally(() => proxy.setMode('pass'))
    expectRefused(answer, /^CONNECTION_TIMEOUT: /)
  })
})

describe('an unknown server, or a change that is none', () => {
  test('404: an unknown id, in any form', async () => {
    for (const id of [UNKNOWN_ID, 'nothing', 'a%2Fb']) {
      expectProblem(await gateway.operator('GET', `/servers/${id}`), NONE)
      expectProblem(await change(id, { capacity: 1 }), NONE)
      expectProblem(await remove(id), NONE)
    }
  })

  test('400: a PATCH that changes nothing, or a field that is not there', async () => {
    expectProblem(await change(UNKNOWN_ID, {}), INVALID)
    expectProblem(await change(UNKNOWN_ID, { host: 'other' }), { ...INVALID, pointers: ['/host'] })
    expectProblem(await change(UNKNOWN_ID, { status: 'unreachable' }), { ...INVALID, pointers: ['/status'] })
  })
})

test('a rotation of the encryption key keeps servers in service when the former key is gone', async () => {
  const own = await createStage()
  const { connectionString } = await administrator()
  const before = await startGateway(own)
  const made = await before.operator('POST', '/servers', { name: 'Kept', connectionString })
  expect(made.status, made.text).toBe(201)
  await before.close()
  const rotated = { ...own, encryptionKey: randomBytes(32).toString('base64') }
  const during = await startGateway(rotated, { ENCRYPTION_KEYS_RETIRED: own.encryptionKey })
  await during.operator('POST', '/encryption/rotate')
  const status = async () => (await during.operator('GET', '/encryption')).body.rotation.status
  await expect.poll(status, { timeout: 60_000 }).toBe('done')
  await during.close()
  const after = await startGateway(rotated)
  // Only an opened connection string leads to this finding.
  await query(superuserUrl(), `alter role ${new URL(connectionString).username} nocreatedb`)
  const found = async () => (await after.operator('GET', `/servers/${made.body.id}`)).body.lastError?.message
  await expect.poll(found, { timeout: 60_000 }).toBe('The role lacks CREATEDB')
  await after.close()
})
