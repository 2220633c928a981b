import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { systemActor } from '../../src/catalog/audit/entries.ts'
import { CatalogStore } from '../../src/catalog/store.ts'
import { insertTenant } from '../../src/catalog/tenants.ts'
import { Vault } from '../../src/catalog/vault.ts'
import { generateMasterKey, parseMasterKey } from '../../src/crypto/key-source.ts'
import { Keyring } from '../../src/crypto/keyring.ts'
import { ClientKeys } from '../../src/identity/callers/client-keys.ts'
import { assertMayWrite, Operators } from '../../src/identity/callers/operators.ts'
import { AccessTokens } from '../../src/identity/tokens/access-tokens.ts'
import { SigningKeys } from '../../src/identity/tokens/signing.ts'
import { newId } from '../../src/lib/ids.ts'
import { createPool } from '../../src/lib/postgres/pg.ts'
import { Secret } from '../../src/lib/secret.ts'
import { applyMigrations } from '../../src/migrations/apply.ts'
import { migrationsFolder, readMigrations } from '../../src/migrations/files.ts'
import { createDatabase, createRole, dropAll, query, urlFor } from '../support/database.ts'
import { addressOf, withClient } from '../support/tenant-database.ts'

const actor = systemActor('test')
const bootstrapToken = 'bootstrap-token-of-this-test-0123456789'

let url: string
let pool: pg.Pool
let store: CatalogStore
let vault: Vault
let acme: string
let globex: string

beforeAll(async () => {
  const role = await createRole()
  url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  const migrations = await readMigrations(migrationsFolder('catalog'), 'catalog')
  await withClient(url, (client) => applyMigrations(client, migrations, { lockTimeoutMs: 10_000 }))
  const limits = { max: 5, idleTimeoutMs: 10_000, connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 }
  pool = createPool(addressOf(url), limits)
  store = new CatalogStore(pool)
  vault = new Vault(store, new Keyring(parseMasterKey(generateMasterKey())), { max: 10 })
  await vault.init()
  acme = await newTenant('acme-corp')
  globex = await newTenant('globex')
})
afterAll(async () => {
  await pool.end()
  await dropAll()
})

async function newTenant(code: string): Promise<string> {
  const tenant = await store.transaction((tx) => insertTenant(tx, { code, name: code }, actor))
  return tenant.id
}

/** The whole catalog as text. Tests search it for secrets. */
async function dump(): Promise<string> {
  const tables = ['signing_keys', 'client_keys', 'operators', 'audit_log', 'catalog_changes']
  const rows = await Promise.all(tables.map((table) => query(url, `select t::text as row from ${table} t`)))
  return rows
    .flat()
    .map((row) => String(row.row))
    .join('\n')
}

describe('the service signing key', () => {
  test('is created once by replicas that start together, and found by the next', async () => {
    const replicas = Array.from({ length: 4 }, () => new SigningKeys({ store, vault }))
    await Promise.all(replicas.map((keys) => keys.init()))
    const kids = replicas.map((keys) => keys.jwks().keys.map((key) => key.kid))
    expect(new Set(kids.flat()).size).toBe(1)
    expect(kids[0]).toHaveLength(1)
  })

  test('is published without its private part', async () => {
    const keys = new SigningKeys({ store, vault })
    await keys.init()
    const [jwk] = keys.jwks().keys
    expect(jwk).toMatchObject({ kty: 'OKP', crv: 'Ed25519', use: 'sig', alg: 'EdDSA' })
    expect(Object.keys(jwk ?? {}).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x'])
  })

  test('lets one replica verify what another signed', async () => {
    const [signer, verifier] = [new SigningKeys({ store, vault }), new SigningKeys({ store, vault })]
    await signer.init()
    await verifier.init()
    const { token } = await new AccessTokens({ keys: signer }).issue({
      user: { id: newId(), generation: 0 },
      tenant: { id: acme, code: 'acme-corp' },
      permissions: ['*'],
      roles: [],
      lifetimeSeconds: 60,
    })
    expect(await new AccessTokens({ keys: verifier }).verify(token)).toMatchObject({ tenantId: acme })
  })

  test('is not taken from the unsealed column', async () => {
    const keys = new SigningKeys({ store, vault })
    await keys.init()
    const published = keys.jwks()
    await query(url, `update signing_keys set public_jwk = '{"kty":"OKP","crv":"Ed25519","x":"forged"}'`)
    await keys.reload()
    expect(keys.jwks()).toEqual(published)
  })

  test('does not open in another row', async () => {
    const [row] = await query<{ id: string }>(url, 'select id from signing_keys')
    await query(url, 'update signing_keys set row_version = 2')
    await expect(new SigningKeys({ store, vault }).init()).rejects.toMatchObject({ code: 'SEAL_BROKEN' })
    await query(url, 'update signing_keys set row_version = 1 where id = $1', [row?.id])
  })
})

describe('a signing key that another replica made a moment ago', () => {
  const request = { user: { id: newId(), generation: 0 }, permissions: [], roles: [], lifetimeSeconds: 60 }
  const replicas = async () => {
    const [signer, verifier] = [new SigningKeys({ store, vault }), new SigningKeys({ store, vault })]
    await signer.init()
    await verifier.init()
    return { signer, verifier }
  }

  test("is found by its id before the change arrives: the service's", async () => {
    const { signer, verifier } = await replicas()
    const { result: made } = await signer.service.rotate(actor)
    expect(verifier.jwks().keys.map(({ kid }) => kid)).not.toContain(made.kid)
    const { token } = await new AccessTokens({ keys: signer }).issue({
      ...request,
      tenant: { id: acme, code: 'acme-corp' },
    })
    expect(await new AccessTokens({ keys: verifier }).verify(token)).toMatchObject({ tenantId: acme })
  })

  test("is found by its id before the change arrives: a tenant's", async () => {
    const { signer, verifier } = await replicas()
    await signer.tenants.replace(acme, { algorithm: 'ES256' }, actor)
    expect(await verifier.tenants.current(acme)).not.toBeNull()
    await signer.tenants.rotate(acme, {}, actor)
    const { token } = await new AccessTokens({ keys: signer }).issue({
      ...request,
      tenant: { id: acme, code: 'acme-corp' },
    })
    expect(await new AccessTokens({ keys: verifier }).verify(token)).toMatchObject({ tenantId: acme })
    await signer.tenants.remove(acme, actor)
  })

  test('is not looked up by a foreign id, and once in some seconds by the id of a deleted key', async () => {
    const { signer, verifier } = await replicas()
    const { result } = await signer.tenants.replace(acme, { algorithm: 'ES256' }, actor)
    const { kid } = result
    await signer.tenants.remove(acme, actor)
    const select = vi.spyOn(store.db, 'select')
    try {
      for (let i = 0; i < 20; i += 1) {
        expect(await verifier.find(`${kid.slice(0, -1)}${kid.endsWith('A') ? 'B' : 'A'}`)).toBeUndefined()
        expect(await verifier.find(`s.AAAAAAAAAAA${i % 10}.AAAAAAAAAAA`)).toBeUndefined()
      }
      expect(select).not.toHaveBeenCalled()
      for (let i = 0; i < 20; i += 1) expect(await verifier.find(kid)).toBeUndefined()
      expect(select.mock.calls.length).toBeLessThanOrEqual(2)
    } finally {
      select.mockRestore()
    }
  })
})

describe('a client key', () => {
  const clientKeys = (now?: () => number) => new ClientKeys({ store, vault, ...(now && { now }) })
  const reader = { name: 'Reporting', permissions: ['properties:read'] }

  test('is shown once and stored nowhere', async () => {
    const keys = clientKeys()
    const made = await keys.create(acme, reader, actor)
    expect(made.key).toMatch(/^fhk_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$/)
    expect(made).toMatchObject({
      ...reader,
      prefix: made.key.slice(0, 12),
      expiresAt: null,
    })
    const { key: _shownOnce, ...rest } = made
    expect(await keys.find(acme, made.id)).toEqual({ ...rest, lastUsedAt: null })
    expect(await dump()).not.toContain(made.key.split('_')[2])
  })

  test('gives its tenant and permissions', async () => {
    const keys = clientKeys()
    const { key, id } = await keys.create(acme, reader, actor)
    const principal = await keys.authenticate(key, acme)
    expect(principal).toMatchObject({ kind: 'client-key', keyId: id, tenantId: acme })
    expect(principal.permissions.has('properties:read')).toBe(true)
    expect(principal.permissions.has('properties:write')).toBe(false)
    expect(await keys.authenticate(key, acme)).toBe(principal)
  })

  test('gets the same refusal if it is unknown, wrong, malformed or another tenant’s', async () => {
    const keys = clientKeys()
    const { key } = await keys.create(acme, reader, actor)
    const flipped = key.slice(0, -1) + (key.endsWith('A') ? 'B' : 'A')
    const unknown = key.replace(/^fhk_.{12}/, 'fhk_AAAAAAAAAAAA')
    const attempts: [string, string | null | undefined][] = [
      [flipped, acme],
      [unknown, acme],
      ['fhk_x', acme],
      ['', undefined],
      [key, globex],
      [key, null],
    ]
    for (const [text, tenant] of attempts) {
      await expect(keys.authenticate(text, tenant)).rejects.toMatchObject({
        code: 'INVALID_CREDENTIALS',
        extra: {},
      })
    }
  })

  test('cannot be found by another tenant', async () => {
    const keys = clientKeys()
    const { id } = await keys.create(acme, reader, actor)
    await expect(keys.find(acme, 'no-uuid')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(keys.find(globex, id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(keys.revoke(globex, id, actor)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('ends when it expires, also while it is cached', async () => {
    const clock = { now: Date.now() }
    const keys = clientKeys(() => clock.now)
    const expiresAt = new Date(clock.now + 30_000).toISOString()
    const { key } = await keys.create(acme, { ...reader, expiresAt }, actor)
    await keys.authenticate(key)
    clock.now += 30_000
    await expect(keys.authenticate(key)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
  })

  test('ends when it is revoked, here and on replicas that get the change', async () => {
    const [here, there] = [clientKeys(), clientKeys()]
    const { key, id } = await here.create(acme, reader, actor)
    await here.authenticate(key)
    await there.authenticate(key)
    const seq = await here.revoke(acme, id, actor)
    const [change] = await query(
      url,
      'select kind, tenant_id, subject_id from catalog_changes where seq = $1',
      [seq],
    )
    expect(change).toEqual({ kind: 'client-key', tenant_id: acme, subject_id: id })
    await expect(here.authenticate(key)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    there.invalidate(id)
    await expect(there.authenticate(key)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    await expect(here.find(acme, id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(here.revoke(acme, id, actor)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('records its last use outside the request', async () => {
    const keys = clientKeys()
    const { key, id } = await keys.create(acme, reader, actor)
    await keys.authenticate(key)
    expect((await keys.find(acme, id)).lastUsedAt).toBeNull()
    await keys.flushLastUsed()
    const { lastUsedAt } = await keys.find(acme, id)
    expect(Date.parse(lastUsedAt ?? '')).toBeGreaterThan(Date.now() - 60_000)
    await keys.flushLastUsed()
  })

  test('is listed in pages, for its tenant only', async () => {
    const keys = clientKeys()
    const tenant = await newTenant('paged')
    const ids: string[] = []
    for (let i = 0; i < 5; i += 1) ids.push((await keys.create(tenant, reader, actor)).id)
    const first = await keys.list(tenant, { limit: 3 })
    const second = await keys.list(tenant, { limit: 3, cursor: first.nextCursor ?? '' })
    expect([...first.data, ...second.data].map((key) => key.id)).toEqual(ids)
    expect(second.nextCursor).toBeNull()
    expect(JSON.stringify(first)).not.toMatch(/hash|lookup|"key"/)
    await expect(keys.list(tenant, { limit: 3, cursor: 'x' })).rejects.toMatchObject({
      code: 'INVALID_CURSOR',
    })
  })

  test.each([
    [{ ...reader, name: ' ' }, '/name'],
    [{ ...reader, name: 'x'.repeat(201) }, '/name'],
    [{ ...reader, name: 'a\0b' }, '/name'],
    [{ ...reader, permissions: ['properties:read', 'nonsense'] }, '/permissions/1'],
    [{ ...reader, expiresAt: '2020-01-01T00:00:00Z' }, '/expiresAt'],
    [{ ...reader, expiresAt: 'tomorrow' }, '/expiresAt'],
  ])('cannot be created from %j', async (input, pointer) => {
    await expect(clientKeys().create(acme, input, actor)).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      extra: { errors: [{ pointer }] },
    })
  })

  test('leaves an audit trail without secrets', async () => {
    const keys = clientKeys()
    const { id } = await keys.create(acme, reader, actor)
    await keys.revoke(acme, id, actor)
    const rows = await query(
      url,
      `select action, coalesce(before, after) as row from audit_log where coalesce(before, after)->>'id' = $1 order by id`,
      [id],
    )
    expect(rows.map((row) => row.action)).toEqual(['client-key.create', 'client-key.revoke'])
    expect(JSON.stringify(rows)).not.toMatch(/hash|lookup|"key"/)
  })
})

describe('an operator', () => {
  const operators = () => new Operators({ store, vault, bootstrapToken: new Secret(bootstrapToken) })

  test('is the bootstrap token’s holder', async () => {
    expect(operators().recognises(bootstrapToken)).toBe(true)
    expect(await operators().authenticate(bootstrapToken)).toEqual({
      kind: 'operator',
      id: 'bootstrap',
      name: 'bootstrap',
      role: 'admin',
    })
  })

  test.each(['', bootstrapToken.slice(1), `${bootstrapToken} `, bootstrapToken.toUpperCase(), 'fho_x'])(
    'is not the holder of %j',
    async (token) => {
      await expect(operators().authenticate(token)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    },
  )

  test('is no operator without a bootstrap token in the settings', async () => {
    const without = new Operators({ store, vault, bootstrapToken: null })
    await expect(without.authenticate('')).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    expect(without.recognises(bootstrapToken)).toBe(false)
  })

  test('is created with a token that is shown once, works, and can be revoked', async () => {
    const [here, there] = [operators(), operators()]
    const made = await here.create({ name: 'Night watch', role: 'viewer' }, actor)
    expect(made.token).toMatch(/^fho_/)
    expect(here.recognises(made.token)).toBe(true)
    expect(await dump()).not.toContain(made.token.split('_')[2])
    const principal = await there.authenticate(made.token)
    expect(principal).toEqual({ kind: 'operator', id: made.id, name: 'Night watch', role: 'viewer' })
    expect(() => assertMayWrite(principal)).toThrow(expect.objectContaining({ code: 'PERMISSION_DENIED' }))
    expect((await here.list({ limit: 10 })).data.map((row) => row.id)).toContain(made.id)
    await here.revoke(made.id, actor)
    there.invalidate(made.id)
    for (const each of [here, there]) {
      await expect(each.authenticate(made.token)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    }
    expect((await here.list({ limit: 10 })).data.map((row) => row.id)).not.toContain(made.id)
  })

  test('cannot use a client key', async () => {
    const { key } = await new ClientKeys({ store, vault }).create(
      acme,
      { name: 'k', permissions: ['*'] },
      actor,
    )
    await expect(operators().authenticate(key)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    await expect(operators().authenticate(key.replace('fhk', 'fho'))).rejects.toMatchObject({
      code: 'INVALID_CREDENTIALS',
    })
  })
})
