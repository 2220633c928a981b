import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listAudit } from '../../src/catalog/audit/entries.ts'
import { auditLog } from '../../src/catalog/audit/schema.ts'
import { catalogChanges } from '../../src/catalog/changes/schema.ts'
import type { TenantStatus } from '../../src/catalog/schema.ts'
import {
  completeAuthConfig,
  DEFAULT_AUTH_CONFIG,
  findTenant,
  insertTenant,
  listTenants,
  patchTenant,
} from '../../src/catalog/tenants.ts'
import { newId } from '../../src/lib/ids.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, operator, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

const patch = (id: string, fields: Parameters<typeof patchTenant>[1]['patch']) =>
  patchTenant(catalog.store, { id: id, patch: fields, actor: operator })
const recordsOf = async (tenantId: string) => ({
  audit: await catalog.store.db
    .select()
    .from(auditLog)
    .where(eq(auditLog.tenantId, tenantId))
    .orderBy(auditLog.id),
  changes: await catalog.store.db.select().from(catalogChanges).where(eq(catalogChanges.tenantId, tenantId)),
})

describe('a new tenant', () => {
  it('is in the catalog with its audit and change rows', async () => {
    const tenant = await catalog.addTenant('acme')
    expect(tenant).toMatchObject({ status: 'ACTIVE', placement: 'shared', epoch: 1, parentId: null })
    expect(tenant.authConfig).toEqual(DEFAULT_AUTH_CONFIG)
    expect(await findTenant(catalog.store, 'acme')).toEqual(tenant)
    expect(await findTenant(catalog.store, tenant.id.toUpperCase())).toEqual(tenant)
    const { audit, changes } = await recordsOf(tenant.id)
    expect(audit).toMatchObject([
      { action: 'tenant.create', actorId: 'op-1', requestId: 'req-1', address: '192.0.2.1' },
    ])
    expect(changes).toMatchObject([{ kind: 'tenant' }])
  })

  it('cannot have a code that is taken, and the attempt leaves no trace', async () => {
    await catalog.addTenant('taken')
    const before = await catalog.store.db.$count(auditLog)
    await expect(catalog.addTenant('taken')).rejects.toMatchObject({ code: 'TENANT_CODE_TAKEN' })
    expect(await catalog.store.db.$count(auditLog)).toBe(before)
  })

  it('cannot have a parent that does not exist', async () => {
    for (const parentId of [newId(), 'nonsense']) {
      await expect(catalog.addTenant('orphan', { parentId })).rejects.toMatchObject({
        code: 'REFERENCE_NOT_FOUND',
      })
    }
  })

  it('is found by its id before another that has this id as its code', async () => {
    const tenant = await catalog.addTenant('first')
    const double = await catalog.addTenant(tenant.id)
    expect((await findTenant(catalog.store, tenant.id))?.id).toBe(tenant.id)
    expect((await findTenant(catalog.store, double.id))?.id).toBe(double.id)
    expect(await findTenant(catalog.store, 'unknown')).toBeNull()
  })
})

describe('a change', () => {
  it('is recorded with the state before, and numbered', async () => {
    const { id } = await catalog.addTenant('changing')
    const { tenant, seq } = await patch(id, { status: 'INACTIVE', name: 'Changed' })
    expect(tenant).toMatchObject({ status: 'INACTIVE', name: 'Changed' })
    const { audit, changes } = await recordsOf(id)
    expect(audit[1]).toMatchObject({
      action: 'tenant.update',
      before: { status: 'ACTIVE', name: 'changing' },
      after: { status: 'INACTIVE', name: 'Changed' },
    })
    expect(changes.at(-1)?.seq).toBe(seq)
  })

  it('that changes nothing is not recorded', async () => {
    const { id, authConfig } = await catalog.addTenant('same')
    const { seq } = await patch(id, { name: 'same', status: 'ACTIVE', parentId: null, authConfig })
    expect(seq).toBeNull()
    expect((await recordsOf(id)).audit).toHaveLength(1)
  })

  it('of a part of authConfig keeps the other parts', async () => {
    const { id } = await catalog.addTenant('config')
    const { tenant } = await patch(id, { authConfig: { lockout: { attempts: 3 } } })
    expect(tenant.authConfig).toEqual({
      ...DEFAULT_AUTH_CONFIG,
      lockout: { attempts: 3, windowSeconds: 900 },
    })
    expect(completeAuthConfig({ accessTokenSeconds: 60 }).accessTokenSeconds).toBe(60)
  })

  it('of an unknown tenant is TENANT_NOT_FOUND', async () => {
    await expect(patch(newId(), { name: 'x' })).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  })
})

describe('the hierarchy', () => {
  it('has no cycles: neither the tenant itself nor a descendant may be its parent', async () => {
    const a = await catalog.addTenant('h-a')
    const b = await catalog.addTenant('h-b', { parentId: a.id })
    const c = await catalog.addTenant('h-c', { parentId: b.id })
    for (const parentId of [a.id, b.id, c.id]) {
      const refused = patch(a.id, { parentId })
      await expect(refused).rejects.toMatchObject({
        code: 'VALIDATION_FAILED',
        extra: { errors: [{ pointer: '/parentId' }] },
      })
    }
    expect((await patch(c.id, { parentId: a.id })).tenant.parentId).toBe(a.id)
    expect((await patch(c.id, { parentId: null })).tenant.parentId).toBeNull()
  })

  it('has no cycles even if two changes would create one together', async () => {
    for (let n = 0; n < 10; n++) {
      const [one, two] = [await catalog.addTenant(`pair-${n}-a`), await catalog.addTenant(`pair-${n}-b`)]
      const both = [patch(one.id, { parentId: two.id }), patch(two.id, { parentId: one.id })]
      const results = (await Promise.allSettled(both)).map(({ status }) => status)
      expect(results.sort()).toEqual(['fulfilled', 'rejected'])
    }
  })
})

describe('lists', () => {
  it('page through all tenants once, in order, and filter', async () => {
    const parent = await catalog.addTenant('list-parent')
    const ids: string[] = []
    for (let n = 0; n < 7; n++) ids.push((await catalog.addTenant(`list-${n}`, { parentId: parent.id })).id)
    await patch(ids[3] ?? '', { status: 'INACTIVE' })
    const seen: string[] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof listTenants>> = await listTenants(catalog.store, {
        limit: 3,
        parentId: parent.id,
        cursor: cursor ?? undefined,
      })
      seen.push(...page.data.map(({ id }) => id))
      cursor = page.nextCursor
    } while (cursor !== null)
    expect(seen).toEqual(ids)
    const count = async (query: { status?: TenantStatus; placement?: 'dedicated' }) =>
      (await listTenants(catalog.store, { limit: 50, parentId: parent.id, ...query })).data.length
    expect(await count({ status: 'INACTIVE' })).toBe(1)
    expect(await count({ placement: 'dedicated' })).toBe(0)
  })

  it('search codes and names in any letter case, and treat wildcards as plain text', async () => {
    await catalog.addTenant('needle-1', { name: '100% Wool_Works' })
    await catalog.addTenant('needle-2', { name: 'Other' })
    const found = async (q: string) =>
      (await listTenants(catalog.store, { limit: 50, q })).data.map(({ code }) => code)
    expect(await found('NEEDLE')).toEqual(['needle-1', 'needle-2'])
    expect(await found('0% wool_')).toEqual(['needle-1'])
    expect(await found('%')).toEqual(['needle-1'])
    expect(await found('e_dle')).toEqual([])
    expect(await found('\\')).toEqual([])
  })

  it('refuse a malformed cursor', async () => {
    const { nextCursor } = await listTenants(catalog.store, { limit: 1 })
    for (const cursor of ['', 'x', '!!', `${nextCursor}=`, `${nextCursor}A`, newId()]) {
      await expect(listTenants(catalog.store, { limit: 1, cursor })).rejects.toMatchObject({
        code: 'INVALID_CURSOR',
      })
    }
  })
})

describe('the audit log', () => {
  it('lists newest first, by tenant, actor, action and time', async () => {
    const { id } = await catalog.addTenant('audited')
    const begun = new Date()
    await patch(id, { name: 'one' })
    await patch(id, { name: 'two' })
    const list = async (filter: Parameters<typeof listAudit>[1]) =>
      (await listAudit(catalog.store, { tenantId: id, ...filter }, { limit: 10 })).data.map(
        ({ action }) => action,
      )
    expect(await list({})).toEqual(['tenant.update', 'tenant.update', 'tenant.create'])
    expect(await list({ action: 'tenant.create' })).toEqual(['tenant.create'])
    expect(await list({ actor: 'op-1' })).toHaveLength(3)
    expect(await list({ actor: 'op-2' })).toEqual([])
    expect(await list({ to: new Date(begun.getTime() - 60_000) })).toEqual([])
    expect(await list({ from: new Date(begun.getTime() - 60_000) })).toHaveLength(3)
    const first = await listAudit(catalog.store, { tenantId: id }, { limit: 2 })
    const rest = await listAudit(
      catalog.store,
      { tenantId: id },
      { limit: 2, cursor: first.nextCursor ?? '' },
    )
    expect([first.data.length, rest.data.length, rest.nextCursor]).toEqual([2, 1, null])
  })
})

it('the row of a tenant is written with its audit and change rows or not at all', async () => {
  const abandoned = catalog.store.transaction(async (tx) => {
    await insertTenant(tx, { code: 'abandoned', name: 'x' }, operator)
    throw new Error('no')
  })
  await expect(abandoned).rejects.toThrow('no')
  expect(await findTenant(catalog.store, 'abandoned')).toBeNull()
})
