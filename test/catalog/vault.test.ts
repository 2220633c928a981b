import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dataKeys } from '../../src/catalog/encryption-schema.ts'
import { Vault } from '../../src/catalog/vault.ts'
import { generateMasterKey, parseMasterKey } from '../../src/crypto/key-source.ts'
import { Keyring } from '../../src/crypto/keyring.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

const openVault = (keyring = catalog.keyring) => new Vault(catalog.store, keyring, { max: 10 })

describe('the service key', () => {
  it('is created once, however many processes start together, and found again', async () => {
    const vaults = Array.from({ length: 6 }, () => openVault())
    await Promise.all(vaults.map((vault) => vault.init()))
    expect(new Set(vaults.map((vault) => vault.service.id)).size).toBe(1)
    expect(await vaults[0]?.masterKeyIdOf(null)).toBe(catalog.keyring.primaryKeyId)
  })

  it('is not available before init()', () => {
    expect(() => openVault().service).toThrow('before init()')
  })

  it('does not open under another master key, and the error has the id of the right one', async () => {
    await openVault().init()
    const other = new Keyring(parseMasterKey(generateMasterKey()))
    await expect(openVault(other).init()).rejects.toMatchObject({
      code: 'WRONG_ENCRYPTION_KEY',
      missing: [{ keyId: catalog.keyring.primaryKeyId, count: expect.any(Number) }],
    })
  })

  it('does not open while any other data key needs a missing master key', async () => {
    await openVault().init()
    const next = parseMasterKey(generateMasterKey())
    const { id } = await catalog.addTenant('vault-ahead')
    await openVault(new Keyring(next, [catalog.masterKey])).dataKey(id)
    expect(await openVault().missingKeys()).toEqual([{ keyId: next.id, count: 1 }])
    await expect(openVault().init()).rejects.toMatchObject({ missing: [{ keyId: next.id, count: 1 }] })
    const both = openVault(new Keyring(catalog.masterKey, [next]))
    await both.init()
    expect(await both.missingKeys()).toEqual([])
    await catalog.store.db.delete(dataKeys).where(eq(dataKeys.tenantId, id))
  })
})

describe("a tenant's key", () => {
  it('is its own, and created once, by the first caller', async () => {
    const [one, two] = [await catalog.addTenant('vault-one'), await catalog.addTenant('vault-two')]
    expect(await openVault().masterKeyIdOf(one.id)).toBeNull()
    const vaults = [openVault(), openVault(), openVault()]
    const keys = await Promise.all(vaults.flatMap((vault) => [vault.dataKey(one.id), vault.dataKey(one.id)]))
    expect(new Set(keys.map((key) => key.id)).size).toBe(1)
    expect((await openVault().dataKey(two.id)).id).not.toBe(keys[0]?.id)
    const rows = await catalog.store.db.select().from(dataKeys).where(eq(dataKeys.tenantId, one.id))
    expect(rows).toHaveLength(1)
  })

  it('is read again after it was invalidated, even during a read', async () => {
    const [one, two] = [await catalog.addTenant('vault-five'), await catalog.addTenant('vault-six')]
    const vault = openVault()
    const before = await vault.dataKey(one.id)
    expect(await vault.dataKey(one.id)).toBe(before)
    const reading = vault.dataKey(two.id)
    vault.clear()
    expect(await vault.dataKey(one.id)).not.toBe(before)
    const outdated = await reading
    expect(await vault.dataKey(two.id)).not.toBe(outdated)
  })

  it('does not open if its row was assigned to another tenant', async () => {
    const [one, two] = [await catalog.addTenant('vault-three'), await catalog.addTenant('vault-four')]
    await openVault().dataKey(one.id)
    await catalog.store.db.update(dataKeys).set({ tenantId: two.id }).where(eq(dataKeys.tenantId, one.id))
    await expect(openVault().dataKey(two.id)).rejects.toMatchObject({ code: 'SEAL_BROKEN' })
  })

  it('is not created for a tenant that does not exist', async () => {
    await expect(openVault().dataKey('01900000-0000-7000-8000-000000000000')).rejects.toThrow()
  })
})
