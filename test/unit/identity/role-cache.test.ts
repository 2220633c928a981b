import { describe, expect, it, vi } from 'vitest'
import { fail } from '../../../src/errors.ts'
import { RoleCache, type RolesOfTenant } from '../../../src/identity/access/role-cache.ts'
import type { TenantSession } from '../../../src/sql/session.ts'
import { ACME, OTHER, routeOf } from '../http/fakes.ts'

const acme = routeOf(ACME, 'acme')
const other = routeOf(OTHER, 'other')

type Row = { name: string; permission: string | null }
type Read = (tenantId: string) => Promise<Row[]>

/** A book over rows that a function gives; the chain of a select is only walked. */
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
  const book = new RoleCache({ open: ({ tenantId }) => session(tenantId), clock, ...options })
  const pass = (ms: number) => {
    now += ms
  }
  return { book, pass }
}

const rows = (...permissions: string[]): Row[] =>
  permissions.length === 0
    ? [{ name: 'clerk', permission: null }]
    : permissions.map((permission) => ({ name: 'clerk', permission }))
const clerk = (roles: RolesOfTenant | undefined) => roles?.get('clerk')

describe('a book of roles', () => {
  it('reads the roles of a tenant once, for all who ask at once', async () => {
    const read = vi.fn<Read>(async () => [...rows('a:b', 'c:d'), { name: 'empty', permission: null }])
    const { book } = open(read)
    expect(book.peek(acme)).toBeUndefined()
    const found = await Promise.all([book.find(acme), book.find(acme)])
    expect(found[0]).toEqual(
      new Map([
        ['clerk', ['a:b', 'c:d']],
        ['empty', []],
      ]),
    )
    expect(found[1]).toBe(found[0])
    expect(book.peek(acme)).toBe(found[0])
    expect(book.peek(other)).toBeUndefined()
    expect(read).toHaveBeenCalledTimes(1)
  })

  it('reads them again after their time, and after a change', async () => {
    let grants = ['a:b']
    const { book, pass } = open(async () => rows(...grants), { ttlMs: 60_000 })
    await book.find(acme)
    pass(59_999)
    expect(clerk(book.peek(acme))).toEqual(['a:b'])
    grants = ['c:d']
    pass(1)
    expect(book.peek(acme)).toBeUndefined()
    expect(clerk(await book.find(acme))).toEqual(['c:d'])
    grants = []
    book.invalidate(OTHER)
    expect(clerk(await book.find(acme))).toEqual(['c:d'])
    book.invalidate(ACME)
    expect(clerk(await book.find(acme))).toEqual([])
    grants = ['e:f']
    book.clear()
    expect(clerk(await book.find(acme))).toEqual(['e:f'])
  })

  it.each([
    ['a change', (book: RoleCache) => book.invalidate(ACME)],
    ['a gap', (book: RoleCache) => book.clear()],
  ])('neither keeps nor answers what was read before %s', async (_what, interrupt) => {
    const gates = [Promise.withResolvers<Row[]>(), Promise.withResolvers<Row[]>()]
    const read = vi.fn<Read>()
    for (const { promise } of gates) read.mockReturnValueOnce(promise)
    const { book } = open(read)
    const waiting = book.find(acme)
    await vi.waitFor(() => expect(read).toHaveBeenCalledTimes(1))
    interrupt(book)
    const late = book.find(acme)
    gates[0]?.resolve(rows('old:one'))
    gates[1]?.resolve(rows('new:one'))
    expect(clerk(await waiting)).toEqual(['new:one'])
    expect(clerk(await late)).toEqual(['new:one'])
    expect(clerk(book.peek(acme))).toEqual(['new:one'])
    expect(read).toHaveBeenCalledTimes(2)
  })

  it('serves what it knows while the database is away, for a while, without asking each time', async () => {
    const down = fail('TENANT_DATABASE_UNAVAILABLE')
    const read = vi.fn<Read>(async () => rows('a:b'))
    const { book, pass } = open(read, { ttlMs: 60_000, maxStalenessMs: 300_000 })
    await book.find(acme)
    read.mockRejectedValue(down)
    pass(60_000)
    expect(clerk(await book.find(acme))).toEqual(['a:b'])
    expect(clerk(book.peek(acme))).toEqual(['a:b'])
    expect(read).toHaveBeenCalledTimes(2)
    pass(1_000)
    expect(clerk(await book.find(acme))).toEqual(['a:b'])
    expect(read).toHaveBeenCalledTimes(3)
    pass(240_000)
    await expect(book.find(acme)).rejects.toBe(down)
    // What was called back is not served, down or not.
    read.mockResolvedValueOnce(rows('a:b'))
    await book.find(acme)
    book.invalidate(ACME)
    await expect(book.find(acme)).rejects.toBe(down)
    await expect(book.find(other)).rejects.toBe(down)
  })

  it('does not hide an error of its own behind old roles', async () => {
    const read = vi.fn<Read>(async () => rows('a:b'))
    const { book, pass } = open(read, { ttlMs: 10 })
    await book.find(acme)
    pass(10)
    read.mockRejectedValueOnce(new TypeError('a bug'))
    await expect(book.find(acme)).rejects.toThrow('a bug')
  })
})
