import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { rootCertificates } from 'node:tls'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { rawRequest } from '../http/support.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  terminateBackends,
  urlFor,
} from '../support/database.ts'
import { type FakeServer, startFakeServer } from '../support/fake-server.ts'
import {
  type Answer,
  type Call,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'

/** Characters that must be written differently somewhere: in JSON, in a URL, or in a text of PostgreSQL. */
const AWKWARD = '"\\/+&%?=:@ é'

/** The secrets by their kinds. Each is random, so a match can only be this secret. */
const secrets = new Map<string, string>()
/** The places that a secret could have reached. */
const places = new Map<string, string>()

function plant(name: string, value: string): string {
  secrets.set(name, value)
  return value
}

const canary = (label: string, awkward = '') =>
  plant(label, `${randomBytes(9).toString('hex')}${awkward}${randomBytes(9).toString('hex')}`)

/** The forms of the text inside encoded data, whatever bytes come before it. */
function formsOf(text: string): string[] {
  const bytes = Buffer.from(text)
  const url = new URL('http://h/')
  url.password = text
  url.searchParams.set('q', text)
  // Base64 depends on the position of the text in the whole, and its first and last characters depend on the neighbours.
  const shifted = [0, 1, 2].map((shift) =>
    Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .slice(shift === 0 ? 0 : 4, -4),
  )
  const hex = bytes.toString('hex')
  const json = JSON.stringify(text).slice(1, -1)
  const forms = [
    ...[text, json, JSON.stringify(json).slice(1, -1), JSON.stringify(JSON.stringify(json)).slice(3, -3)],
    ...[encodeURIComponent(text), encodeURI(text), url.password, url.search.slice(3), hex, hex.toUpperCase()],
    ...shifted.flatMap((form) => [form, form.replaceAll('+', '-').replaceAll('/', '_')]),
  ]
  return [...new Set(forms)]
}

function foundIn(haystack: string, secret: string): string[] {
  return formsOf(secret).filter((form) => haystack.includes(form))
}

/** Answers that show a secret which they have just created, and the name of that field. */
const GIVEN_OUT = /"(?:accessToken|refreshToken|key|token)":"[^"]+"/g

interface Watched {
  readonly gateway: TestGateway
  readonly answers: string[]
}

/** Stores every answer of the gateway, except for the one field that should show a new secret. */
function watch(gateway: TestGateway): Watched {
  const answers: string[] = []
  const call = gateway.call.bind(gateway)
  const watched = async (method: string, path: string, request?: Call) => {
    const answer = await call(method, path, request)
    const issues = method === 'POST' && answer.status < 300
    answers.push(
      issues ? answer.text.replace(GIVEN_OUT, '') : answer.text,
      JSON.stringify([...answer.headers]),
    )
    return answer as Answer<never>
  }
  return { gateway: Object.assign(gateway, { call: watched }), answers }
}

async function dump(database: string): Promise<string> {
  const url = superuserUrl(database)
  const tables = await query<{ name: string }>(
    url,
    `SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) AS name FROM pg_tables
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema')`,
  )
  const all: string[] = []
  for (const { name } of tables) {
    // Each column separately, because the text form of a whole row adds quotes.
    const rows = await query<{ columns: Record<string, string> }>(
      url,
      `SELECT (SELECT json_object_agg(key, value) FROM json_each_text(row_to_json(t))) AS columns FROM ${name} t`,
    )
    all.push(name, ...rows.flatMap(({ columns }) => Object.values(columns).map(String)))
  }
  return all.join('\n')
}

let stage: Stage
let hanging: FakeServer
let watched: Watched
let tenant: TestTenant
let moved: TestTenant
let own: { url: string; database: string; role: string }

const databaseOf = (url: string) => new URL(url).pathname.slice(1)

beforeAll(async () => {
  hanging = await startFakeServer('clear-text')
  stage = await createStage()
  plant('operator token', stage.operatorToken)
  plant('password of the catalog', new URL(stage.catalogUrl).password)
  plant('password of the shared database', new URL(stage.sharedUrl).password)
  plant('encryption key', stage.encryptionKey)
  plant('encryption key, its bytes', Buffer.from(stage.encryptionKey, 'base64').toString('latin1'))
  const ports = [new URL(superuserUrl()).port, String(hanging.port), '1']
  const more = {
    LOG_LEVEL: 'trace',
    DATABASE_HOSTS_ALLOWED: ports.map((port) => `127.0.0.1:${port}`).join(','),
  }
  watched = watch(await startGateway(stage, more))
  await work()
  await fail()
  await watched.gateway.close()
  // Starts once more with all data present, so that a start opens and reads everything.
  const again = watch(await startGateway(stage, more))
  await again.gateway.call('GET', '/api/v1/places', { token: tenant.token })
  await again.gateway.operator('GET', '/audit-log?limit=200')
  const metrics = await again.gateway.call('GET', '/metrics')
  await again.gateway.close()
  places.set('the log', watched.gateway.log() + again.gateway.log())
  places.set('the answers', [...watched.answers, ...again.answers].join('\n'))
  places.set('the metrics', metrics.text)
  places.set('the catalog', await dump(databaseOf(stage.catalogUrl)))
  places.set('the shared database', await dump(databaseOf(stage.sharedUrl)))
  places.set('a database of its own', await dump(own.database))
}, 60_000)

afterAll(async () => {
  await hanging?.close()
  await dropAll()
})

/** Successful requests with every kind of secret. */
async function work(): Promise<void> {
  const { gateway } = watched
  const password = canary('password of a user', AWKWARD)
  const person = async (code: string) => {
    const admin = { email: `admin@${code}.example`, password }
    const made = await gateway.operator('POST', '/tenants', { code, name: code, admin })
    const session = await gateway.call('POST', '/api/v1/auth/login', { body: { tenantCode: code, ...admin } })
    plant(`access token of ${code}`, session.body.accessToken)
    plant(`refresh token of ${code}, used`, session.body.refreshToken)
    const { body } = await gateway.call('POST', '/api/v1/auth/refresh', {
      body: { refreshToken: session.body.refreshToken },
    })
    plant(`refresh token of ${code}`, body.refreshToken)
    return { id: made.body.id as string, code, admin, token: session.body.accessToken as string }
  }
  tenant = await person('secrets-shared')
  moved = await person('secrets-own')
  const role = await createRole({ password: canary('password of a database', AWKWARD.replace('é', 'e')) })
  const database = await createDatabase({ owner: role.name })
  own = { url: urlFor({ role, database }), database, role: role.name }
  plant('connection string', own.url)
  expect(await gateway.registerDatabase(moved.id, own.url)).toMatchObject({ placement: 'dedicated' })
  const body = { name: 'import', permissions: ['properties:*'] }
  const key = await gateway.call('POST', '/api/v1/client-keys', { token: moved.token, body })
  plant('client key', key.body.key)
  const operator = await gateway.operator('POST', '/operators', { name: 'second', role: 'admin' })
  plant('token of an operator', operator.body.token)
  for (const call of [
    { token: moved.token },
    { headers: { 'x-client-key': key.body.key, 'x-tenant-code': moved.code } },
  ]) {
    const made = await gateway.call('POST', '/api/v1/places', { ...call, body: { name: 'Here' } })
    expect(made.status, made.text).toBe(201)
  }
  const tenants = await gateway.call('GET', '/api/v1/tenants', { token: operator.body.token })
  expect(tenants.status).toBe(200)
}

async function fail(): Promise<void> {
  await failToSignIn()
  await failToRegister()
  await sendInTheWrongPlace()
  await breakDatabases()
}

/** Mistyped secrets are secrets too: often they belong to something else. */
async function failToSignIn(): Promise<void> {
  const { gateway } = watched
  const password = canary('mistyped password', AWKWARD)
  const login = { tenantCode: tenant.code, email: tenant.admin.email, password }
  const bodies = [
    login,
    { ...login, tenantCode: 'no-such-tenant' },
    { ...login, email: 'unknown@example.com' },
    { ...login, password: password.repeat(40) },
    { ...login, password: [password] },
    { ...login, password: { password } },
    { ...login, more: password },
    { refreshToken: password },
  ]
  for (const body of bodies) {
    for (const way of ['login', 'refresh', 'logout'])
      await gateway.call('POST', `/api/v1/auth/${way}`, { body })
  }
  for (const cut of [1, 2, 20]) {
    await gateway.call('POST', '/api/v1/auth/login', { body: JSON.stringify(login).slice(0, -cut) })
  }
  await gateway.call('POST', '/api/v1/auth/login', { body: password })
  const refreshToken = secrets.get(`refresh token of ${tenant.code}`)
  // A reused token is certainly stolen only after its successor was used too.
  const next = await gateway.call('POST', '/api/v1/auth/refresh', { body: { refreshToken } })
  plant('refresh token of the next round', next.body.refreshToken)
  const used = { body: { refreshToken: secrets.get(`refresh token of ${tenant.code}, used`) } }
  expect((await gateway.call('POST', '/api/v1/auth/refresh', used)).body.code).toBe('REFRESH_TOKEN_REUSED')
  const users = `/tenants/${tenant.id}/users`
  await gateway.operator('POST', users, { email: tenant.admin.email, password })
  await gateway.operator('POST', users, { email: 'not an address', password, roles: ['no-such-role'] })
  await gateway.operator('POST', '/tenants', {
    code: tenant.code,
    name: 'Taken',
    admin: { email: 'a@b.example', password },
  })
}

async function failToRegister(): Promise<void> {
  const { gateway } = watched
  const password = encodeURIComponent(canary('password of a database that failed', AWKWARD))
  const { port } = new URL(superuserUrl())
  const path = `/tenants/${tenant.id}/database`
  const malformed = [
    `postgresql://u:${password}@127.0.0.1:${port}/d#${password}`,
    `postgresql://u:${password}@127.0.0.1:${port},127.0.0.1:${port}/d`,
    `postgresql://u:${password}@10.0.0.1/d`,
    `postgresql://u:${password}@127.0.0.1:${port}/d?${password}=${password}`,
    `mysql://u:${password}@127.0.0.1:${port}/d`,
    `postgresql://u:${password}@[::g]/d`,
    `postgresql://u:${password}`,
    password,
  ]
  for (const connectionString of malformed) {
    expect((await gateway.operator('PUT', path, { connectionString })).status).toBe(400)
  }
  const good = `postgresql://u:${password}@127.0.0.1:${port}/d`
  await gateway.operator('PUT', path, { connectionString: [good] })
  await gateway.operator('PUT', path, { connectionString: good, poolSize: good, password })
  await gateway.operator('PUT', path, { connectionString: good, caCertificate: `${password}` })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = String(privateKey.export({ type: 'pkcs8', format: 'pem' }))
  plant('private key pasted with a certificate', pem.split('\n')[1] ?? '')
  const pasted = { connectionString: good, caCertificate: `${rootCertificates[0]}\n${pem}` }
  expect((await gateway.operator('PUT', path, pasted)).status).toBe(400)
  await gateway.call('PUT', `/api/v1${path}`, {
    token: stage.operatorToken,
    body: JSON.stringify({ connectionString: good }).slice(0, -3),
  })
  for (const connectionString of [
    `postgresql://u:${password}@127.0.0.1:1/d`,
    hanging.urlFor('u', password, 'd'),
    good,
    `postgresql://${own.role}:${password}@127.0.0.1:${port}/${own.database}`,
    `postgresql://${own.role}:${password}@127.0.0.1:${port}/${own.database}?sslmode=require`,
  ]) {
    const state = await gateway.registerDatabase(tenant.id, connectionString)
    expect(state.status, JSON.stringify(state)).toBe('failed')
  }
}

/** Credentials in wrong places: in the other header, in the query, in the path, in a number. */
async function sendInTheWrongPlace(): Promise<void> {
  const { gateway } = watched
  for (const secret of secrets.values()) {
    const inUrl = encodeURIComponent(secret)
    const isHeader = /^[!-~]+$/.test(secret)
    for (const headers of [
      { 'x-client-key': secret },
      { authorization: secret },
      { 'x-tenant-code': secret },
    ]) {
      if (isHeader) await gateway.call('GET', '/api/v1/places', { headers, token: tenant.token })
      if (isHeader) await gateway.call('GET', '/api/v1/places', { headers })
    }
    if (isHeader) await gateway.call('GET', '/api/v1/tenants', { token: `${secret}x` })
    for (const name of ['limit', 'cursor', 'sort', 'access_token', 'name', 'filter[name]']) {
      await gateway.call('GET', `/api/v1/places?${name}=${inUrl}`, { token: tenant.token })
      await gateway.call('GET', `/api/v1/tenants?${name}=${inUrl.repeat(20)}`, { token: stage.operatorToken })
    }
    // Not among the answers, because each one shows its caller the requested path as `instance`.
    for (const path of [`/api/v1/client-keys/${inUrl}`, `/api/v1/${inUrl}/x`, `/${inUrl}`, `/%zz${inUrl}`]) {
      await fetch(`${gateway.url}${path}`, { headers: { authorization: `Bearer ${tenant.token}` } })
    }
    const body = { name: { secret }, kind: secret, address: secret }
    await gateway.call('POST', '/api/v1/places', { token: tenant.token, body })
    await gateway.call('POST', '/api/v1/places', { token: tenant.token, body: `{"name":"${secret}` })
    await gateway.call('POST', '/api/v1/places', {
      token: tenant.token,
      headers: { 'content-type': 'text/plain' },
      body: secret,
    })
    if (!isHeader) continue
    const twice = [`Authorization: Bearer ${secret}`, `Authorization: Bearer ${secret}`]
    const said = await rawRequest(gateway.url, ['GET /api/v1/places HTTP/1.1', ...twice])
    const broken = await rawRequest(gateway.url, [`GET /?${inUrl} HTTP/9`, `Bad Header ${secret}: 1`])
    const flood = await rawRequest(gateway.url, ['GET / HTTP/1.1', `X: ${secret.repeat(200)}`]).catch(
      () => null,
    )
    watched.answers.push(said.text, broken.text, flood?.text ?? '')
  }
}

/** Requests that are answered with 5xx and logged with the cause. */
async function breakDatabases(): Promise<void> {
  const { gateway } = watched
  const catalog = superuserUrl(databaseOf(stage.catalogUrl))
  const mine = superuserUrl(own.database)
  const login = { tenantCode: moved.code, ...moved.admin }
  const without = async (url: string, table: string, calls: () => Promise<Answer[]>) => {
    await query(url, `ALTER TABLE ${table} RENAME TO gone`)
    const answers = await calls()
    await query(url, `ALTER TABLE gone RENAME TO ${table}`)
    expect(answers.map(({ status }) => status >= 500)).toEqual(answers.map(() => true))
  }
  await without(mine, 'sessions', async () => [
    await gateway.call('POST', '/api/v1/auth/login', { body: login }),
    await gateway.call('POST', '/api/v1/auth/refresh', {
      body: { refreshToken: secrets.get(`refresh token of ${moved.code}`) },
    }),
  ])
  await without(mine, 'users', async () => [
    await gateway.operator('POST', `/tenants/${moved.id}/users`, { ...moved.admin, email: 'new@b.example' }),
  ])
  const key = { name: 'other', permissions: ['properties:read'] }
  await without(catalog, 'client_keys', async () => [
    await gateway.operator('POST', `/tenants/${moved.id}/client-keys`, key),
  ])
  await without(catalog, 'tenant_databases', async () => [
    await gateway.operator('PUT', `/tenants/${tenant.id}/database`, { connectionString: own.url }),
  ])
  await query(superuserUrl(), `ALTER DATABASE "${own.database}" ALLOW_CONNECTIONS false`)
  await terminateBackends(own.database)
  const list = async () => (await gateway.call('GET', '/api/v1/places', { token: moved.token })).status
  await vi.waitFor(async () => expect(await list()).toBe(503), { timeout: 60_000 })
  await gateway.call('POST', '/api/v1/auth/login', { body: login })
  await query(superuserUrl(), `ALTER DATABASE "${own.database}" ALLOW_CONNECTIONS true`)
}

test('the search finds a secret in each encoded form', () => {
  const secret = `x${AWKWARD}0123456789`
  const around = (text: string) => ['', 'a', 'ab'].map((before) => `${before}${text}tail`)
  const hidden = [
    ...around(secret),
    ...around(secret).map((text) => JSON.stringify({ text })),
    ...around(secret).map((text) => JSON.stringify({ text: JSON.stringify({ text }) })),
    ...around(secret).flatMap((text) =>
      (['hex', 'base64', 'base64url'] as const).map((form) => Buffer.from(text).toString(form)),
    ),
    `https://h/?a=${encodeURIComponent(secret)}`,
    String(new URLSearchParams({ a: secret })),
  ]
  expect(hidden.filter((text) => foundIn(text, secret).length === 0)).toEqual([])
  expect(foundIn('nothing of it', secret)).toEqual([])
})

describe.each([
  ['the log', 'a request was refused'],
  ['the answers', 'VALIDATION_FAILED'],
  ['the metrics', 'freehold_'],
  ['the catalog', 'secrets-own'],
  ['the shared database', 'admin@secrets-shared.example'],
  ['a database of its own', 'admin@secrets-own.example'],
])('%s', (place, content) => {
  test('has its expected content, and no secret in any form', () => {
    const haystack = places.get(place) ?? ''
    expect(haystack).toContain(content)
    expect(secrets.size).toBeGreaterThan(12)
    const found = [...secrets].flatMap(([name, secret]) =>
      foundIn(haystack, secret).length > 0 ? [name] : [],
    )
    expect(found).toEqual([])
  })
})
