import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readIdentity } from '../../src/lib/postgres/database-identity.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { tenantMigrations } from '../support/application.ts'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { withClient } from '../support/tenant-database.ts'

const API = '/api/v1'

let stage: Stage
let gateway: TestGateway
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage, {
    LOGIN_RATE_LIMIT_PER_MINUTE: '100000',
    RATE_LIMIT_PER_MINUTE: '100000',
  })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

describe.each(['LATIN1', 'SQL_ASCII', 'EUC_JP'])('a database in %s', (encoding) => {
  test('cannot be registered for a tenant', async () => {
    const tenant = await gateway.createTenant()
    const owner = await createRole()
    const url = urlFor({ role: owner, database: await createDatabase({ owner: owner.name, encoding }) })
    expect(await gateway.registerDatabase(tenant.id, url)).toMatchObject({
      ...{ status: 'failed', placement: 'shared' },
      lastError: { code: 'ENCODING_UNSUPPORTED', message: expect.stringMatching(/UTF8/) },
    })
  })
})

/**
 * Replaces the tenant database by a complete and stamped one in LATIN1, which an older release would have accepted. A gateway
 * relies on the catalog's record of it.
 */
async function becomeLatin(tenant: TestTenant): Promise<void> {
  const role = await createRole()
  const [utf8, latin] = [
    await createDatabase({ owner: role.name }),
    await createDatabase({ owner: role.name, encoding: 'LATIN1' }),
  ]
  const url = urlFor({ role, database: utf8 })
  expect(await gateway.registerDatabase(tenant.id, url)).toMatchObject({ status: 'active' })
  const latinUrl = urlFor({ role, database: latin })
  const migrations = await tenantMigrations()
  await withClient(latinUrl, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }))
  await copyTenant(url, latinUrl)
  await query(superuserUrl(), `ALTER DATABASE "${utf8}" ALLOW_CONNECTIONS false`)
  await query(
    superuserUrl(),
    'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = $1',
    [utf8],
  )
  await query(superuserUrl(), `ALTER DATABASE "${utf8}" RENAME TO "${utf8}_old"`)
  await query(superuserUrl(), `ALTER DATABASE "${latin}" RENAME TO "${utf8}"`)
  const { databaseOid } = await withClient(url, readIdentity)
  await query(stage.catalogUrl, 'UPDATE tenant_databases SET database_oid = $1 WHERE tenant_id = $2', [
    databaseOid,
    tenant.id,
  ])
}

async function copyTenant(from: string, to: string): Promise<void> {
  for (const table of ['residence', 'roles', 'role_permissions', 'users', 'user_roles']) {
    const [{ rows } = { rows: null }] = await query<{ rows: unknown }>(
      superuserUrl(new URL(from).pathname.slice(1)),
      `SELECT json_agg(t) AS rows FROM public.${table} t`,
    )
    const generated = `SELECT string_agg(quote_ident(attname), ', ') AS names FROM pg_attribute
       WHERE attrelid = 'public.${table}'::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped`
    const target = superuserUrl(new URL(to).pathname.slice(1))
    const [{ names } = { names: '' }] = await query<{ names: string }>(target, generated)
    await query(
      target,
      `INSERT INTO public.${table} (${names}) SELECT ${names} FROM json_populate_recordset(NULL::public.${table}, $1::json)`,
      [JSON.stringify(rows ?? [])],
    )
  }
}

/** Half of a surrogate pair, U+0000, and some characters that LATIN1 lacks. */
const TEXTS = ['\ud800', 'a\u0000b', 'Жλ中', '😀', '\u0080\u009f', '\uffff', '\u202e€']

interface Places {
  readonly tenant: TestTenant
  readonly rowId: string
}

/** Every path of a caller's text to a tenant database or the catalog. Texts of bodies are in JSON. */
function requestsWith(text: string, { tenant, rowId }: Places): [string, string, object][] {
  const { token, code } = tenant
  const q = encodeURIComponent(text.toWellFormed())
  const key = Buffer.from(text)
    .toString('latin1')
    .replace(/\p{Cc}/gu, 'x')
  const body = (more: object) => ({ token, body: { ...more } })
  const admin = { token: stage.operatorToken }
  return [
    ...[
      { email: text },
      { username: text },
      { email: `${text}@b.example` },
      { email: 'a@b.example', password: text },
    ].map((who): [string, string, object] => [
      'POST',
      '/auth/login',
      { body: { tenantCode: code, password: 'p', ...who } },
    ]),
    ['POST', '/auth/login', { body: { tenantCode: text, email: 'a@b.example', password: 'p' } }],
    ['POST', '/auth/accounts/login', { body: { email: `${text}@b.example`, password: text } }],
    ['POST', '/auth/refresh', { body: { refreshToken: text } }],
    ['POST', '/auth/logout', { body: { refreshToken: text } }],
    ['GET', '/tenant', { headers: { 'x-client-key': `fhk_${key}`, 'x-tenant-code': key } }],
    ['GET', '/auth/me', { token, headers: { 'x-account-id': key } }],
    ['POST', '/places', body({ name: text, address: { city: text, line1: text } })],
    ['POST', '/places', { ...body({ name: text }), headers: { 'idempotency-key': crypto.randomUUID() } }],
    ['POST', '/places', { ...body({ name: 'x' }), headers: { 'idempotency-key': key } }],
    ['PATCH', `/places/${rowId}`, body({ name: text })],
    ['PATCH', `/places/${rowId}`, { ...body({ name: 'x' }), headers: { 'if-match': `"${key}"` } }],
    ['GET', `/places/${q}`, { token }],
    ['GET', `/places?name=${q}`, { token }],
    ['GET', `/places?cursor=${q}`, { token }],
    ['GET', `/places?sort=${q}`, { token }],
    ['POST', '/lessees', body({ kind: 'person', name: text, email: `${text}@b.example`, phone: text })],
    ['GET', `/lessees?email=${q}%40b.example`, { token }],
    ['POST', '/credits', body({ amount: 1, paymentReference: text })],
    [
      'POST',
      '/users',
      body({ email: `${text}@b.example`, password: `long enough ${text}`, name: text, roles: [text] }),
    ],
    ['GET', `/users?email=${q}%40b.example`, { token }],
    ['POST', '/roles', body({ name: text, permissions: [text] })],
    ['POST', '/client-keys', body({ name: text, permissions: ['properties:read'] })],
    ['GET', `/audit-log?actor=${q}&action=${q}`, { token }],
    ['POST', '/tenants', { ...admin, body: { code: `t-${crypto.randomUUID()}`, name: text } }],
    ['PATCH', `/tenants/${tenant.id}`, { ...admin, body: { name: text } }],
    ['GET', `/tenants?q=${q}`, admin],
    ['POST', '/operators', { ...admin, body: { name: text, role: 'viewer' } }],
    [
      'POST',
      '/accounts',
      { ...admin, body: { email: `${text}@b.example`, password: 'long enough, this one', name: text } },
    ],
    [
      'POST',
      `/tenants/${tenant.id}/users`,
      { ...admin, body: { email: `${text}@b.example`, password: 'long enough, this one', name: text } },
    ],
  ]
}

test.each(['utf8', 'latin'] as const)('no text of a caller causes a 5xx, in %s', async (kind) => {
  const tenant = await gateway.createTenant()
  if (kind === 'latin') await becomeLatin(tenant)
  await expect
    .poll(async () => (await gateway.call('GET', `${API}/places`, { token: tenant.token })).status, {
      timeout: 15_000,
    })
    .toBe(200)
  const made = await gateway.call('POST', `${API}/places`, { token: tenant.token, body: { name: 'One' } })
  expect(made.status, made.text).toBe(201)
  const faults: string[] = []
  const refused: string[] = []
  for (const text of TEXTS) {
    for (const [method, path, call] of requestsWith(text, { tenant, rowId: made.body.id })) {
      const { status, text: said } = await gateway.call(method, `${API}${path}`, call)
      if (status >= 500) faults.push(`${status} ${method} ${path} with ${JSON.stringify(text)}: ${said}`)
      if (status === 400 && said.includes('cannot be stored')) refused.push(`${method} ${path}`)
    }
  }
  expect(faults).toEqual([])
  // A login sends a text without any credential.
  if (kind === 'latin') expect(refused).toContain('POST /auth/login')
  if (kind === 'utf8') expect(refused).toEqual([])
})

test('half of a surrogate pair and U+0000 in a multipart name cause no 5xx', async () => {
  const { token } = await gateway.createTenant()
  for (const name of ['a\\u0000b', 'a%00b', 'a\udc80b', 'Ж']) {
    const form = new FormData()
    form.set('file', new File(['x'], name))
    const response = await fetch(`${gateway.url}${API}/media`, {
      ...{ method: 'POST', headers: { authorization: `Bearer ${token}` } },
      body: form,
    })
    expect(response.status).toBeLessThan(500)
    await response.body?.cancel()
  }
})
