import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CORE_PERMISSIONS, PermissionSet, parsePermission } from '../../../src/identity/access/permissions.ts'

const word = fc.stringMatching(/^[a-z][a-z-]{0,8}$/)
/** A number written in letters. */
const letters = (n: number) => [...String(n)].map((digit) => 'abcdefghij'[Number(digit)]).join('')
const exact = fc.tuple(word, word).map(([resource, action]) => `${resource}:${action}`)
const granted = fc.array(
  fc.oneof(
    exact,
    word.map((resource) => `${resource}:*`),
    fc.constant('*'),
    fc.string(),
  ),
)

describe('a permission', () => {
  test.each(['*', 'users:*', 'users:read', 'client-keys:write'])('may be %s', (text) => {
    expect(parsePermission(text)).not.toBeNull()
  })

  test.each([
    '',
    'users',
    'users:',
    ':read',
    '*:read',
    'Users:read',
    'users:read:all',
    'users:re*',
    ' users:read',
    'users:read\n',
    '**',
    `a:${'b'.repeat(100)}`,
  ])('may not be %j', (text) => {
    expect(parsePermission(text)).toBeNull()
  })

  test('that a route of the core needs is valid', () => {
    for (const permission of CORE_PERMISSIONS) expect(parsePermission(permission)).not.toBeNull()
  })
})

describe('a set of permissions', () => {
  test('grants exactly what it lists, and what a wildcard covers', () => {
    fc.assert(
      fc.property(granted, exact, (list, asked) => {
        const [resource] = asked.split(':')
        const expected = list.includes('*') || list.includes(`${resource}:*`) || list.includes(asked)
        expect(new PermissionSet(list).has(asked)).toBe(expected)
      }),
    )
  })

  test('grants the same after it was listed and parsed again', () => {
    fc.assert(
      fc.property(granted, exact, (list, asked) => {
        const set = new PermissionSet(list)
        expect(new PermissionSet(set.list).has(asked)).toBe(set.has(asked))
        expect(new PermissionSet(set.list).list).toEqual(set.list)
      }),
    )
  })

  test('ignores texts that are no permission', () => {
    const set = new PermissionSet(['users', 'users:', '*:read', ':*', 'toString', '__proto__:x:*'])
    expect(set.list).toEqual([])
    for (const asked of ['users:read', 'users', ':read', 'toString', '', '__proto__:x'])
      expect(set.has(asked)).toBe(false)
  })

  test('has no more permissions than a user may hold, whatever a database grants', () => {
    const many = Array.from({ length: 30_000 }, (_, i) => `a:${letters(i)}`)
    expect(new PermissionSet(many).list).toEqual(many.slice(0, 20_000).sort())
  })

  test('cannot be changed', () => {
    const set = new PermissionSet(['users:read'])
    expect(Object.isFrozen(set)).toBe(true)
    expect(Object.isFrozen(set.list)).toBe(true)
  })
})
