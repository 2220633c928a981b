import { afterAll, afterEach, describe, expect, test } from 'vitest'
import { sealAnchor } from '../../src/catalog/audit/anchor.ts'
import { sealAudit, verifyAudit } from '../../src/catalog/audit/chain.ts'
import { listAudit } from '../../src/catalog/audit/entries.ts'
import { sealFormerPersons, showPersons } from '../../src/catalog/audit/persons.ts'
import { connectClient } from '../../src/lib/postgres/pg.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createDatabase, dropAll, query, superuserUrl } from '../support/database.ts'
import { addressOf, openParts, type TestCatalog } from './catalog.ts'

const LIMITS = { connectTimeoutMs: 3000, statementTimeoutMs: 10_000 }
const TENANT = '01900000-0000-7000-8000-000000000001'
const STAYS = '01900000-0000-7000-8000-00000000000a'
const LEFT = '01900000-0000-7000-8000-00000000000b'

const opened: TestCatalog[] = []
afterEach(async () => {
  for (const catalog of opened.splice(0)) await catalog.close()
})
afterAll(dropAll)

/** A catalog of the release that kept personal data in the audit log, with rows as that release wrote them. */
async function formerCatalog(): Promise<TestCatalog> {
  const database = await createDatabase()
  await migrate(database, (all) =>
    all.slice(
      0,
      all.findIndex(({ id }) => id.endsWith('audit-persons')),
    ),
  )
  const catalog = await openParts(database, addressOf(superuserUrl(database)))
  opened.push(catalog)
  await catalog.vault.init()
  await query(
    superuserUrl(database),
    `INSERT INTO tenants (id, code, name, auth_config) VALUES ('${TENANT}', 'acme', 'Acme', '{}')`,
  )
  await write(catalog, 'tenant.create', null, { code: 'acme', name: 'Acme' })
  await write(catalog, 'user.create', null, {
    userId: STAYS,
    email: 'ann@example.org',
    name: 'Ann',
    taxNumber: null,
  })
  await write(catalog, 'user.create', null, {
    userId: LEFT,
    email: 'bob@example.org',
    name: 'Bob',
    taxNumber: 'T-1',
  })
  await write(catalog, 'user.update', { userId: STAYS, name: 'Ann' }, { userId: STAYS, name: 'Anna' })
  await write(catalog, 'account.create', null, { accountId: 'acc', email: 'cleo@example.org', roles: [] })
  await write(
    catalog,
    'user.delete',
    { userId: LEFT, email: 'bob@example.org', name: 'Bob', taxNumber: 'T-1' },
    null,
  )
  return catalog
}

type Fields = Record<string, unknown> | null

async function write(
  { database }: TestCatalog,
  action: string,
  before: Fields,
  after: Fields,
): Promise<void> {
  await query(
    superuserUrl(database),
    `INSERT INTO audit_log (id, seq, hash, actor_type, actor_id, tenant_id, action, before, after)
     VALUES (gen_random_uuid(), 0, '', 'operator', 'op', $1, $2, $3, $4)`,
    [TENANT, action, before, after],
  )
}

async function migrate(
  database: string,
  choose: (all: Awaited<ReturnType<typeof readMigrations>>) => typeof all = (all) => all,
): Promise<void> {
  const client = await connectClient(addressOf(superuserUrl(database)), LIMITS)
  try {
    const all = await readMigrations(migrationsFolder('catalog'), 'catalog')
    await applyMigrations(client, choose(all), { lockTimeoutMs: 5000 })
  } finally {
    await client.end()
  }
}

async function formerSeal({ database, vault }: TestCatalog, forged = false): Promise<void> {
  const [row] = await query<{ seq: string; hash: Buffer }>(
    superuserUrl(database),
    'SELECT seq, hash FROM audit_log ORDER BY seq DESC LIMIT 1',
  )
  const said = `${row?.seq} ${row?.hash.toString('hex')}`
  const mac = forged ? Buffer.alloc(32) : vault.service.mac('audit-seal', said)
  await query(superuserUrl(database), 'INSERT INTO audit_seals (seq, hash, mac) VALUES ($1, $2, $3)', [
    row?.seq,
    row?.hash,
    mac,
  ])
}

/** Does what the first start of this release does. */
async function upgrade(catalog: TestCatalog) {
  const { store, vault } = catalog
  await migrate(catalog.database)
  const persons = await sealFormerPersons(store, vault)
  const anchor = await sealAnchor(store, vault.service)
  await sealAudit(store, vault.service)
  return { persons, anchor, verdict: await verifyAudit(store, vault) }
}

async function shown({ store, vault }: TestCatalog) {
  const { data } = await listAudit(store, {}, { limit: 50 })
  const rows = await showPersons(store, vault, data)
  return rows
    .toSorted((a, b) => a.seq - b.seq)
    .map(({ action, before, after }) => ({ action, before, after }))
}

describe('the audit log of the previous release', () => {
  test('is chained again without its personal data, which is shown as long as the person exists', async () => {
    const catalog = await formerCatalog()
    await formerSeal(catalog)
    const { persons, anchor, verdict } = await upgrade(catalog)
    expect(anchor).toEqual({ throughSeq: 6, firstBreak: null })
    expect(verdict).toMatchObject({ ok: true, rows: 6, sealedThrough: 6, firstBreak: null })
    expect(persons).toBe(3)
    expect(await shown(catalog)).toEqual([
      { action: 'tenant.create', before: null, after: { code: 'acme', name: 'Acme' } },
      {
        action: 'user.create',
        before: null,
        after: { userId: STAYS, email: 'ann@example.org', name: 'Ann', taxNumber: null },
      },
      {
        action: 'user.create',
        before: null,
        after: { userId: LEFT, email: '[erased]', name: '[erased]', taxNumber: '[erased]' },
      },
      {
        action: 'user.update',
        before: { userId: STAYS, name: 'Ann' },
        after: { userId: STAYS, name: 'Anna' },
      },
      {
        action: 'account.create',
        before: null,
        after: { accountId: 'acc', email: 'cleo@example.org', roles: [] },
      },
      {
        action: 'user.delete',
        before: { userId: LEFT, email: '[erased]', name: '[erased]', taxNumber: '[erased]' },
        after: null,
      },
    ])
    const rows = await query<{ row: string }>(
      superuserUrl(catalog.database),
      'SELECT t::text AS row FROM audit_log t',
    )
    for (const { row } of rows) expect(row).not.toMatch(/@example\.org|Ann|Bob|T-1/)
    expect(await query(superuserUrl(catalog.database), 'SELECT FROM audit_persons_unsealed')).toEqual([])
  })

  test('is written, chained and sealed as usual after that', async () => {
    const catalog = await formerCatalog()
    await upgrade(catalog)
    await write(catalog, 'tenant.update', { name: 'Acme' }, { name: 'Acme Inc.' })
    expect(await verifyAudit(catalog.store, catalog.vault)).toMatchObject({
      ok: true,
      rows: 7,
      sealedThrough: 6,
    })
    await expect(
      query(superuserUrl(catalog.database), "UPDATE audit_log SET action = 'x' WHERE seq = 1"),
    ).rejects.toMatchObject({ code: '23001' })
  })

  test('may be empty', async () => {
    const database = await createDatabase()
    await migrate(database)
    const catalog = await openParts(database, addressOf(superuserUrl(database)))
    opened.push(catalog)
    await catalog.vault.init()
    expect(await upgrade(catalog)).toMatchObject({ persons: 0, anchor: null, verdict: { ok: true, rows: 0 } })
  })

  async function forge(catalog: TestCatalog, sql: string): Promise<void> {
    const url = superuserUrl(catalog.database)
    await query(url, 'ALTER TABLE audit_log DISABLE TRIGGER append_only')
    await query(url, sql)
    await query(url, 'ALTER TABLE audit_log ENABLE ALWAYS TRIGGER append_only')
  }

  test.each([
    [
      'a row that was changed',
      "UPDATE audit_log SET actor_id = 'x' WHERE seq = 3",
      { seq: 3, reason: 'changed' },
    ],
    ['a row that is gone', 'DELETE FROM audit_log WHERE seq = 2', { seq: 2, reason: 'missing' }],
  ])('keeps the proof of %s', async (_what, sql, firstBreak) => {
    const catalog = await formerCatalog()
    await formerSeal(catalog)
    await forge(catalog, sql)
    const { verdict } = await upgrade(catalog)
    expect(verdict).toMatchObject({ ok: false, firstBreak })
  })

  test('keeps the proof that a chain was recomputed before: its seal is not ours', async () => {
    const catalog = await formerCatalog()
    await formerSeal(catalog, true)
    const { verdict } = await upgrade(catalog)
    expect(verdict).toMatchObject({ ok: false, firstBreak: { seq: 6, reason: 'changed' } })
  })

  test('has an anchor that access to the database alone cannot create or remove unseen', async () => {
    const catalog = await formerCatalog()
    await forge(catalog, "UPDATE audit_log SET actor_id = 'x' WHERE seq = 3")
    const { verdict } = await upgrade(catalog)
    expect(verdict.ok).toBe(false)
    const url = superuserUrl(catalog.database)
    for (const sql of [
      'UPDATE audit_anchors SET first_break = NULL, mac = NULL',
      'DELETE FROM audit_anchors',
      'DELETE FROM audit_former_seals',
    ]) {
      await expect(query(url, sql), sql).rejects.toMatchObject({ code: '23001' })
    }
    await query(url, 'ALTER TABLE audit_anchors DISABLE TRIGGER ALL')
    await query(url, 'UPDATE audit_anchors SET first_break = NULL')
    expect(await verifyAudit(catalog.store, catalog.vault)).toMatchObject({
      ok: false,
      firstBreak: { seq: 6, reason: 'resealed' },
    })
  })
})
