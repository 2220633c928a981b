import { describe, expect, it } from 'vitest'
import {
  type DirectoryOptions,
  type Route,
  RouteDirectory,
  type RouteKey,
} from '../../../src/catalog/directory.ts'
import { fail } from '../../../src/errors.ts'
import { newId } from '../../../src/lib/ids.ts'
import { Secret } from '../../../src/lib/secret.ts'

const route = (code: string, more: Partial<Route> = {}): Route => ({
  tenantId: newId(),
  code,
  name: code,
  status: 'ACTIVE',
  parentId: null,
  externalIds: [],
  placement: 'shared',
  epoch: 1,
  seal: new Secret('seal'),
  authConfig: {
    passwordPolicy: { minLength: 12, requireMixed: false },
    accessTokenSeconds: 900,
    refreshTokenSeconds: 2_592_000,
    refreshReuseSeconds: 10,
    lockout: { attempts: 10, windowSeconds: 900 },
  },
  createdAt: new Date(0),
  updatedAt: new Date(0),
  database: null,
  ...more,
})

function isNamed(row: Route, by: RouteKey): boolean {
  if ('id' in by) return row.tenantId === by.id
  if ('code' in by) return row.code === by.code
  const { issuer, id } = by.externalId
  return row.externalIds.some((one) => one.issuer === issuer && one.id === id)
}

/** A catalog in memory. It counts reads, can be down, and can hold a read back while the test makes changes. */
class Catalog {
  rows: Route[] = []
  loads: RouteKey[] = []
  down = false
  gate: Promise<void> | null = null
  clock = { ms: 0, now: () => this.clock.ms, monotonic: () => this.clock.ms }

  load = async (by: RouteKey): Promise<Route | null> => {
    this.loads.push(by)
    const found = this.rows.find((row) => isNamed(row, by)) ?? null
    const wasDown = this.down
    if (this.gate !== null) await this.gate
    if (wasDown) throw fail('CATALOG_UNAVAILABLE')
    return found
  }

  directory(options: Partial<DirectoryOptions> = {}): RouteDirectory {
    const defaults = { max: 100, ttlMs: 60_000, maxStalenessMs: 120_000 }
    return new RouteDirectory({ load: this.load, clock: this.clock, ...defaults, ...options })
  }

  replace(old: Route, more: Partial<Route>): Route {
    const changed = { ...old, ...more }
    this.rows = this.rows.map((row) => (row.tenantId === old.tenantId ? changed : row))
    return changed
  }

  /** Holds every load back until the returned function is called. */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.gate = promise
    return () => {
      if (this.gate === promise) this.gate = null
      resolve()
    }
  }
}

function setUp(options?: Partial<DirectoryOptions>) {
  const catalog = new Catalog()
  const acme = route('acme')
  catalog.rows = [acme]
  return { catalog, acme, directory: catalog.directory(options) }
}

describe('a cached route', () => {
  it('is read once for 500 concurrent callers and all later ones, by id and by code', async () => {
    const { catalog, acme, directory } = setUp()
    const found = await Promise.all(Array.from({ length: 500 }, () => directory.byId(acme.tenantId)))
    expect(new Set(found)).toEqual(new Set([acme]))
    expect(await directory.byCode('acme')).toBe(acme)
    expect(await directory.byId(acme.tenantId.toUpperCase())).toBe(acme)
    expect(directory.peekById(acme.tenantId)).toBe(acme)
    expect(directory.peekByCode('acme')).toBe(acme)
    expect(catalog.loads).toHaveLength(1)
    expect(directory.size).toBe(1)
  })

  it('is read again after its time to live, and peek no longer returns it', async () => {
    const { catalog, acme, directory } = setUp({ ttlMs: 1000 })
    await directory.byCode('acme')
    catalog.clock.ms = 1000
    expect(directory.peekById(acme.tenantId)).toBeUndefined()
    const changed = catalog.replace(acme, { name: 'Acme 2' })
    expect(await directory.byCode('acme')).toBe(changed)
    expect(catalog.loads).toHaveLength(2)
  })

  it('is dropped with its code when the cache is full and no route is unused for longer', async () => {
    const { catalog, acme, directory } = setUp({ max: 3 })
    const others = ['b1', 'b2', 'b3'].map((code) => route(code))
    catalog.rows.push(...others)
    await directory.byCode('acme')
    await directory.byCode('b1')
    directory.peekById(acme.tenantId)
    await directory.byCode('b2')
    await directory.byCode('b3')
    expect(directory.size).toBe(3)
    expect(directory.peekByCode('acme')).toBe(acme)
    expect(directory.peekByCode('b1')).toBeUndefined()
  })

  it('is not read for a text that cannot be an id or a code', async () => {
    const { catalog, directory } = setUp()
    for (const text of ['', 'a', 'ACME', '-acme', "' or 1=1 --", 'a'.repeat(64), 'acme\0']) {
      expect(await directory.byCode(text)).toBeNull()
    }
    expect(await directory.byId('acme')).toBeNull()
    expect(catalog.loads).toHaveLength(0)
  })
})

describe('an id that a trusted issuer gives to a tenant', () => {
  const ISSUER = 'https://login.example/'
  const named = (id: string, issuer = ISSUER) => ({ issuer, id })

  it('finds the tenant, for that issuer only, and without a read once it is cached', async () => {
    const { catalog, acme, directory } = setUp()
    const listed = catalog.replace(acme, { externalIds: [named('org_1'), named('org_2')] })
    expect(directory.peekByExternalId(named('org_1'))).toBeUndefined()
    expect(await directory.byExternalId(named('org_1'))).toBe(listed)
    expect(directory.peekByExternalId(named('org_1'))).toBe(listed)
    expect(directory.peekByExternalId(named('org_2'))).toBe(listed)
    expect(await directory.byExternalId(named('org_2'))).toBe(listed)
    expect(catalog.loads).toHaveLength(1)
    for (const other of [named('org_1', 'https://other.example/'), named('acme'), named(acme.tenantId)]) {
      expect(directory.peekByExternalId(other)).toBeUndefined()
      expect(await directory.byExternalId(other)).toBeNull()
    }
    expect(await directory.byCode('org_1')).toBeNull()
  })

  it('no longer finds the tenant after it was removed, even if it was being read then', async () => {
    const { catalog, acme, directory } = setUp()
    const listed = catalog.replace(acme, { externalIds: [named('org_1')] })
    await directory.byExternalId(named('org_1'))
    catalog.replace(listed, { externalIds: [] })
    directory.invalidate(acme.tenantId)
    expect(directory.peekByExternalId(named('org_1'))).toBeUndefined()
    expect(await directory.byExternalId(named('org_1'))).toBeNull()
    expect(await directory.byCode('acme')).toMatchObject({ externalIds: [] })
    expect(directory.peekByExternalId(named('org_1'))).toBeUndefined()

    const again = catalog.replace(acme, { externalIds: [named('org_1')] })
    directory.invalidate(acme.tenantId)
    const release = catalog.hold()
    const asked = directory.byExternalId(named('org_1'))
    catalog.replace(again, { externalIds: [] })
    directory.invalidate(acme.tenantId)
    release()
    expect(await asked).toBeNull()
    expect(directory.peekByExternalId(named('org_1'))).toBeUndefined()
  })

  it('finds the tenant that has it now', async () => {
    const { catalog, acme, directory } = setUp()
    const before = catalog.replace(acme, { externalIds: [named('org_1')] })
    await directory.byExternalId(named('org_1'))
    catalog.replace(before, { externalIds: [] })
    directory.invalidate(acme.tenantId)
    const heir = route('heir', { externalIds: [named('org_1')] })
    catalog.rows.push(heir)
    directory.invalidate(heir.tenantId)
    expect(await directory.byExternalId(named('org_1'))).toBe(heir)
    await directory.byId(acme.tenantId)
    expect(directory.peekByExternalId(named('org_1'))).toBe(heir)
  })
})

describe('tenants that do not exist', () => {
  it('are remembered for five seconds', async () => {
    const { catalog, directory } = setUp()
    expect(await directory.byCode('unknown')).toBeNull()
    catalog.clock.ms = 4999
    expect(await directory.byCode('unknown')).toBeNull()
    expect(catalog.loads).toHaveLength(1)
    catalog.clock.ms = 5000
    await directory.byCode('unknown')
    expect(catalog.loads).toHaveLength(2)
  })

  it('are found at once when a change reports them', async () => {
    const { catalog, directory } = setUp()
    await directory.byCode('newcomer')
    const newcomer = route('newcomer')
    catalog.rows.push(newcomer)
    directory.invalidate(newcomer.tenantId)
    expect(await directory.byCode('newcomer')).toBe(newcomer)
  })

  it('are not remembered if the tenant was created during the read', async () => {
    const { catalog, directory } = setUp()
    const release = catalog.hold()
    const asked = directory.byCode('newcomer')
    await Promise.resolve()
    const newcomer = route('newcomer')
    catalog.rows.push(newcomer)
    directory.invalidate(newcomer.tenantId)
    release()
    expect(await asked).toBeNull()
    expect(await directory.byCode('newcomer')).toBe(newcomer)
  })

  it('do not displace tenants that exist', async () => {
    const { catalog, acme, directory } = setUp({ max: 5 })
    await directory.byCode('acme')
    for (let n = 0; n < 50; n++) await directory.byCode(`unknown-${n}`)
    expect(directory.peekByCode('acme')).toBe(acme)
    expect(catalog.loads).toHaveLength(51)
  })
})

describe('a route in use', () => {
  it('is known as current until a change or a new read replaces it, even if it is too old to be used', async () => {
    const { catalog, acme, directory } = setUp({ ttlMs: 1000 })
    const other = route('other')
    catalog.rows.push(other)
    for (const { tenantId } of [acme, other]) await directory.byId(tenantId)
    const { generation } = directory
    catalog.clock.ms = 2000
    expect(directory.peekById(acme.tenantId)).toBeUndefined()
    expect([directory.holds(acme), directory.generation]).toEqual([true, generation])
    directory.invalidate(other.tenantId)
    expect([directory.holds(acme), directory.holds(other)]).toEqual([true, false])
    expect(directory.generation).toBeGreaterThan(generation)
    const changed = catalog.replace(acme, { epoch: 2 })
    await directory.byId(acme.tenantId)
    expect([directory.holds(acme), directory.holds(changed)]).toEqual([false, true])
    directory.clear()
    expect(directory.holds(changed)).toBe(false)
  })
})

describe('invalidation', () => {
  it.each(['id', 'code'] as const)(
    'discards a read by %s that began before it; all callers get the newer route',
    async (kind) => {
      const { catalog, acme, directory } = setUp()
      const ask = () => (kind === 'id' ? directory.byId(acme.tenantId) : directory.byCode('acme'))
      const release = catalog.hold()
      const early = ask()
      await Promise.resolve()
      const changed = catalog.replace(acme, { status: 'INACTIVE' })
      directory.invalidate(acme.tenantId)
      expect(directory.peekById(acme.tenantId)).toBeUndefined()
      const late = ask()
      release()
      expect(await Promise.all([early, late])).toEqual([changed, changed])
      expect(directory.peekByCode('acme')).toBe(changed)
      expect(catalog.loads).toHaveLength(2)
    },
  )

  it('of one tenant keeps the others', async () => {
    const { catalog, acme, directory } = setUp()
    const other = route('other')
    catalog.rows.push(other)
    await directory.byCode('other')
    const release = catalog.hold()
    const asked = directory.byId(acme.tenantId)
    await Promise.resolve()
    directory.invalidate(other.tenantId)
    release()
    expect(await asked).toBe(acme)
    expect(directory.peekByCode('acme')).toBe(acme)
    expect(directory.peekByCode('other')).toBeUndefined()
  })

  it('during a read, even twice, still gives the newest route', async () => {
    const { catalog, acme, directory } = setUp()
    let release = catalog.hold()
    const asked = directory.byCode('acme')
    await Promise.resolve()
    for (const epoch of [2, 3]) {
      catalog.replace(acme, { epoch })
      directory.invalidate(newId())
      directory.invalidate(acme.tenantId)
      const letGo = release
      release = catalog.hold()
      letGo()
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    release()
    expect((await asked)?.epoch).toBe(3)
    expect(directory.peekByCode('acme')?.epoch).toBe(3)
  })

  it('by clear() drops everything, also reads in progress', async () => {
    const { catalog, acme, directory } = setUp()
    await directory.byCode('acme')
    directory.clear()
    expect(directory.size).toBe(0)
    const release = catalog.hold()
    const early = directory.byId(acme.tenantId)
    await Promise.resolve()
    const changed = catalog.replace(acme, { epoch: 2 })
    directory.clear()
    release()
    expect(await early).toBe(changed)
    expect(directory.peekById(acme.tenantId)).toBe(changed)
  })
})

describe('while the catalog is down', () => {
  it('known routes are served until the limit, and unknown ones are an error', async () => {
    const { catalog, acme, directory } = setUp({ ttlMs: 1000, maxStalenessMs: 60_000 })
    await directory.byCode('acme')
    catalog.down = true
    catalog.clock.ms = 59_999
    expect(await directory.byCode('acme')).toBe(acme)
    expect(directory.peekByCode('acme')).toBeUndefined()
    await expect(directory.byCode('other')).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    catalog.clock.ms = 60_000
    await expect(directory.byCode('acme')).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  })

  it('the limit counts from the last confirmation, also within the time to live', async () => {
    const { catalog, acme, directory } = setUp({ ttlMs: 1_000_000, maxStalenessMs: 10_000 })
    await directory.byCode('acme')
    catalog.clock.ms = 8000
    directory.confirm()
    catalog.down = true
    catalog.clock.ms = 17_999
    expect(directory.peekByCode('acme')).toBe(acme)
    catalog.clock.ms = 18_000
    expect(directory.peekByCode('acme')).toBeUndefined()
    await expect(directory.byId(acme.tenantId)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  })

  it('requests do not wait for it one by one: it is tried again once a second', async () => {
    const { catalog, acme, directory } = setUp({ ttlMs: 1000 })
    await directory.byCode('acme')
    catalog.down = true
    catalog.clock.ms = 2000
    for (let n = 0; n < 10; n++) expect(await directory.byId(acme.tenantId)).toBe(acme)
    expect(catalog.loads).toHaveLength(2)
    catalog.down = false
    catalog.clock.ms = 3000
    const changed = catalog.replace(acme, { epoch: 2 })
    expect(await directory.byId(acme.tenantId)).toBe(changed)
  })

  it('an invalidated route is not served, because it is known to be wrong', async () => {
    const { catalog, acme, directory } = setUp()
    await directory.byCode('acme')
    catalog.down = true
    directory.invalidate(acme.tenantId)
    await expect(directory.byCode('acme')).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  })

  it('an error that is no outage is passed on', async () => {
    const { catalog, directory } = setUp({
      ttlMs: 1000,
      load: async (by) => {
        if (catalog.down) throw new Error('bug')
        return catalog.load(by)
      },
    })
    await directory.byCode('acme')
    catalog.down = true
    catalog.clock.ms = 2000
    await expect(directory.byCode('acme')).rejects.toThrow('bug')
  })
})
