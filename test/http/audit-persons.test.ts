import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { API } from './support.ts'

const PASSWORD = 'a-long-enough-password'
const TRACES = ['quentin', 'Quasimodo', 'FR-4711-QX']

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

const catalog = () => superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
const users = (path = '') => `${API}/users${path}`

/** The content of a backup of the catalog: every row of every table as text. */
async function tracesInCatalog(words: readonly string[] = TRACES): Promise<string[]> {
  const tables = await query<{ name: string }>(
    catalog(),
    "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'",
  )
  const found: string[] = []
  for (const { name } of tables) {
    const rows = await query<{ row: string }>(catalog(), `SELECT t::text AS row FROM public."${name}" AS t`)
    for (const { row } of rows) {
      // Sealed bytes appear there in hexadecimal form.
      const isFound = words.some(
        (word) => row.includes(word) || row.includes(Buffer.from(word).toString('hex')),
      )
      if (isFound) found.push(name)
    }
  }
  return [...new Set(found)]
}

async function entries(action: string, path = `/audit-log?limit=20&action=${action}`) {
  const { status, body, text } = await gateway.operator('GET', path)
  expect(status, text).toBe(200)
  return body.data as { before: Record<string, unknown> | null; after: Record<string, unknown> | null }[]
}

async function verdict() {
  return (await gateway.operator('GET', '/audit-log/verify')).body
}

describe('personal data in the audit log', () => {
  test('is stored apart and sealed, and is deleted with the person while the chain still verifies', async () => {
    const person = {
      email: 'quentin@example.org',
      username: 'quentin',
      name: 'Quasimodo',
      taxNumber: 'FR-4711-QX',
    }
    const { token } = tenant
    const made = await gateway.call('POST', users(), { token, body: { ...person, password: PASSWORD } })
    expect(made.status, made.text).toBe(201)
    const changed = await gateway.call('PATCH', users(`/${made.body.id}`), {
      token,
      body: { name: 'Quasimodo the Second' },
    })
    expect(changed.status).toBe(200)

    expect((await entries('user.create'))[0]?.after).toMatchObject({ userId: made.body.id, ...person })
    expect((await entries('user.update'))[0]).toMatchObject({
      before: { name: 'Quasimodo' },
      after: { name: 'Quasimodo the Second' },
    })
    expect(await tracesInCatalog()).toEqual([])
    expect(await verdict()).toMatchObject({ ok: true })

    expect((await gateway.call('DELETE', users(`/${made.body.id}`), { token })).status).toBe(204)
    const erased = { email: '[erased]', username: '[erased]', name: '[erased]', taxNumber: '[erased]' }
    expect((await entries('user.create'))[0]?.after).toMatchObject({
      userId: made.body.id,
      ...erased,
      status: 'ACTIVE',
    })
    expect((await entries('user.update'))[0]?.after).toMatchObject({ name: '[erased]' })
    expect((await entries('user.delete'))[0]?.before).toMatchObject({ userId: made.body.id, ...erased })
    const left = await query(catalog(), 'SELECT 1 FROM audit_persons WHERE person_id = $1', [made.body.id])
    expect(left).toEqual([])
    expect(await verdict()).toMatchObject({ ok: true, firstBreak: null })
  })

  test('is protected for accounts and memberships too', async () => {
    const made = await gateway.operator('POST', '/accounts', {
      ...{ email: 'quentin-account@example.org', name: 'Quasimodo', password: PASSWORD },
      memberships: [{ tenantId: tenant.id, roles: [] }],
    })
    expect(made.status, made.text).toBe(201)
    expect((await entries('account.create'))[0]?.after).toMatchObject({
      email: 'quentin-account@example.org',
    })
    const seen = await gateway.call('GET', `${API}/audit-log?action=membership.set`, { token: tenant.token })
    expect(seen.body.data[0].after).toMatchObject({ email: 'quentin-account@example.org' })
    const inLog = await query<{ row: string }>(catalog(), 'SELECT t::text AS row FROM audit_log AS t')
    expect(inLog.filter(({ row }) => row.includes('quentin-account'))).toEqual([])

    expect((await gateway.operator('DELETE', `/accounts/${made.body.id}`)).status).toBe(204)
    for (const action of ['account.create', 'membership.set', 'membership.remove', 'account.delete']) {
      const [entry] = await entries(action)
      expect({ ...entry?.before, ...entry?.after }, action).toMatchObject({ email: '[erased]' })
    }
    expect(await tracesInCatalog(['quentin-account'])).toEqual([])
    expect(await verdict()).toMatchObject({ ok: true })
  })

  test('is not extracted from entries without a person', async () => {
    await gateway.operator('POST', '/operators', { name: 'nightly export', role: 'viewer' })
    expect((await entries('operator.create'))[0]?.after).toMatchObject({ name: 'nightly export' })
    expect((await entries('tenant.create'))[0]?.after).toMatchObject({ code: tenant.code })
  })

  test('cannot be moved to another entry', async () => {
    const make = (name: string) =>
      gateway.call('POST', users(), {
        token: tenant.token,
        body: { email: `${name}@example.org`, name, password: PASSWORD },
      })
    await make('first')
    await make('second')
    const rows = await query<{ id: string; sealed: string }>(
      catalog(),
      `SELECT audit_id AS id, encode(sealed, 'hex') AS sealed FROM audit_persons ORDER BY audit_id DESC LIMIT 2`,
    )
    const put = (id: string | undefined, sealed: string | undefined) =>
      query(catalog(), `UPDATE audit_persons SET sealed = decode($2, 'hex') WHERE audit_id = $1`, [
        id,
        sealed,
      ])
    await put(rows[0]?.id, rows[1]?.sealed)
    expect((await entries('user.create'))[0]?.after).toMatchObject({ name: '[erased]' })
    expect(await verdict()).toMatchObject({ ok: false, firstBreak: { reason: 'changed' } })
    await put(rows[0]?.id, rows[0]?.sealed)
    expect((await entries('user.create'))[0]?.after).toMatchObject({ name: 'second' })
    expect(await verdict()).toMatchObject({ ok: true })
  })

  test('has a commitment in the chain', async () => {
    const url = catalog()
    const forge = async (sql: string) => {
      await query(url, 'ALTER TABLE audit_log DISABLE TRIGGER append_only')
      await query(url, sql)
      await query(url, 'ALTER TABLE audit_log ENABLE ALWAYS TRIGGER append_only')
    }
    const [row] = await query<{ seq: string; commitment: string }>(
      url,
      `SELECT seq, encode(commitment, 'hex') AS commitment FROM audit_log WHERE commitment IS NOT NULL ORDER BY seq DESC LIMIT 1`,
    )
    await forge(`UPDATE audit_log SET commitment = sha256('x') WHERE seq = ${row?.seq}`)
    expect((await verdict()).firstBreak).toEqual({ seq: Number(row?.seq), reason: 'changed' })
    const all = await entries('user.create', '/audit-log?limit=200')
    expect(all.find((entry) => (entry as { seq?: number }).seq === Number(row?.seq))?.after).toMatchObject({
      email: '[erased]',
    })
    await forge(
      `UPDATE audit_log SET commitment = decode('${row?.commitment}', 'hex') WHERE seq = ${row?.seq}`,
    )
    expect(await verdict()).toMatchObject({ ok: true })
  })
})
