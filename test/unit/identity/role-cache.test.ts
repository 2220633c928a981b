import { describe, expect, it, vi } from 'vitest'
import { fail } from '../../../src/errors.ts'
import { RoleCache, type RolesOfTenant } from '../../../src/identity/access/role-cache.ts'
import type { TenantSession } from '../../../src/sql/session.ts'
import { ACME, OTHER, routeOf } from '../http/fakes.ts'

const acme = routeOf(ACME, 'acme')
const other = routeOf(OTHER, 'other')

type Row = { name: string; permission: string | null }
type Read = (tenantId: string) => Promise<Row[]>

/** A cache over rows that a function returns. The chain of the select is only there for drizzle's interface. */
function open(read: Read, options: { ttlMs?: number; maxStalenessMs?: number } = {}) {
  let now = 1_000
  const session = (tenantId: string) => {
    const chain = {
      select: () => chain,
      from: () => chain,
      leftJoin: () => chain,
      where: () => read(tenantId),
    }
    return { tenantId, db: chain as unknown as TenantSession['db'] }
  }
  const clock = { now: () => now, monotonic: () => now }
  const cache = new RoleCache({ open: ({ tenantId }) => session(tenantId), clock, ...options })
  const pass = (ms: number) => {
    now += ms
  }
  return { cache, pass }
}

const rows = (...permissions: string[]): Row[] =>
  permissions.length === 0
    ? [{ name: 'clerk', permission: null }]
    : permissions.map((permission) => ({ name: 'clerk', permission }))
const clerk = (roles: RolesOfTenant | undefined) => roles?.get('clerk')

describe('the role cache', () => {
  it('reads the roles of a tenant once for all concurrent callers', async () => {
    const read = vi.fn<Read>(async () => [...rows('a:b', 'c:d'), { name: 'empty', permission: null }])
    const { cache } = open(read)
    expect(cache.peek(acme)).toBeUndefined()
    const found = await Promise.all([cache.find(acme), cache.find(acme)])
    expect(found[0]).toEqual(
      new Map([
        ['clerk', ['a:b', 'c:d']],
        ['empty', []],
      ]),
    )
    expect(found[1]).toBe(found[0])
    expect(cache.peek(acme)).toBe(found[0])
    expect(cache.peek(other)).toBeUndefined()
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('reads them again after their time to live, and after a change', async () => {
    let grants = ['a:b']
    const { cache, pass } = open(async () => rows(...grants), { ttlMs: 60_000 })
    await cache.find(acme)
    pass(59_999)
    expect(clerk(cache.peek(acme))).toEqual(['a:b'])
    grants = ['c:d']
    pass(1)
    expect(cache.peek(acme)).toBeUndefined()
    expect(clerk(await cache.find(acme))).toEqual(['c:d'])
    grants = []
    cache.invalidate(OTHER)
    expect(clerk(await cache.find(acme))).toEqual(['c:d'])
    cache.invalidate(ACME)
    expect(clerk(await cache.find(acme))).toEqual([])
    grants = ['e:f']
    cache.clear()
    expect(clerk(await cache.find(acme))).toEqual(['e:f'])
  })

  it.each([
    ['a change', (cache: RoleCache) => cache.invalidate(ACME)],
    ['a gap', (cache: RoleCache) => cache.clear()],
  ])('discards what was read before %s', async (_what, interrupt) => {
    const gates = [Promise.withResolvers<Row[]>(), Promise.withResolvers<Row[]>()]
    const read = vi.fn<Read>()
    for (const { promise } of gates) read.mockReturnValueOnce(promise)
    const { cache } = open(read)
    const waiting = cache.find(acme)
    await vi.waitFor(() => expect(read).toHaveBeenCalledTimes(1))
    interrupt(cache)
    const late = cache.find(acme)
    gates[0]?.resolve(rows('old:one'))
    gates[1]?.resolve(rows('new:one'))
    expect(clerk(await waiting)).toEqual(['new:one'])
    expect(clerk(await late)).toEqual(['new:one'])
    expect(clerk(cache.peek(acme))).toEqual(['new:one'])
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('serves known roles in an outage, for a limited time, without asking each time', async () => {
    const down = fail('TENANT_DATABASE_UNAVAILABLE')
    const read = vi.fn<Read>(async () => rows('a:b'))
    const { cache, pass } = open(read, { ttlMs: 60_000, maxStalenessMs: 300_000 })
    await cache.find(acme)
    read.mockRejectedValue(down)
    pass(60_000)
    expect(clerk(await cache.find(acme))).toEqual(['a:b'])
    expect(clerk(cache.peek(acme))).toEqual(['a:b'])
    expect(read).toHaveBeenCalledTimes(2)
    pass(1_000)
    expect(clerk(await cache.find(acme))).toEqual(['a:b'])
    expect(read).toHaveBeenCalledTimes(3)
    pass(240_000)
    await expect(cache.find(acme)).rejects.toBe(down)
    // Invalidated roles are not used, not even in an outage.
    read.mockResolvedValueOnce(rows('a:b'))
    await cache.find(acme)
    cache.invalidate(ACME)
    await expect(cache.find(acme)).rejects.toBe(down)
    await expect(cache.find(other)).rejects.toBe(down)
  })

  it('does not cover an error of ours with old roles', async () => {
    const read = vi.fn<Read>(async () => rows('a:b'))
    const { cache, pass } = open(read, { ttlMs: 10 })
    await cache.find(acme)
    pass(10)
    read.mockRejectedValueOnce(new TypeError('a bug'))
    await expect(cache.find(acme)).rejects.toThrow('a bug')
  })
})
