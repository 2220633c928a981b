import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { claimOf, listOf, tenantsOf } from '../../../src/identity/tokens/claims.ts'
import { parseStrictObject } from '../../../src/identity/tokens/strict-json.ts'

const claimsOf = (json: string) => parseStrictObject(Buffer.from(json))

describe('the name of a claim', () => {
  test.each<[string, string, string, unknown]>([
    ['is tried as a whole first', '{"a.b":1,"a":{"b":2}}', 'a.b', 1],
    ['may be an address', '{"https://acme.example/roles":["x"]}', 'https://acme.example/roles', ['x']],
    ['leads into objects by its dots', '{"a":{"b":{"c":3}}}', 'a.b.c', 3],
    ['takes the longest name at each step', '{"a":{"b.c":1,"b":{"c":2}}}', 'a.b.c', 1],
    [
      'leads through a client id with dots',
      '{"resource_access":{"app.example.com":{"roles":["clerk"]},"app":{"example":1}}}',
      'resource_access.app.example.com.roles',
      ['clerk'],
    ],
    ['does not turn back from the longest name', '{"a.b":1,"a":{"b":{"c":3}}}', 'a.b.c', undefined],
    ['does not lead into texts', '{"a":"text"}', 'a.length', undefined],
    ['does not lead into lists', '{"a":[{"b":1}]}', 'a.0.b', undefined],
    ['does not lead through null', '{"a":null}', 'a.b', undefined],
    ['ends where a step is missing', '{"a":{"b":1}}', 'a..b', undefined],
    ['is not there', '{"a":1}', 'b', undefined],
    [
      'may be one that objects have by nature, if the token has it',
      '{"__proto__":{"x":1}}',
      '__proto__.x',
      1,
    ],
  ])('%s', (_case, json, path, expected) => {
    expect(claimOf(claimsOf(json), path)).toEqual(expected)
  })

  test.each([
    '__proto__',
    'constructor',
    'constructor.name',
    'toString',
    '__proto__.toString',
    'a.constructor',
  ])('finds nothing through %s', (path) => {
    expect(claimOf(claimsOf('{"a":{}}'), path)).toBeUndefined()
  })

  const NAMES = fc.constantFrom('a', 'b', 'a.b', 'b.c', '.', 'a.', '__proto__', 'constructor', 'length')
  const VALUE = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, fc.integer(), fc.string(), tie('list'), tie('object')),
    list: fc.array(tie('value'), { maxLength: 2 }),
    object: fc.array(fc.tuple(NAMES, tie('value')), { maxLength: 4 }).map((pairs) => {
      const object: Record<string, unknown> = Object.create(null)
      for (const [name, value] of pairs) object[name] = value
      return object
    }),
  }))

  /** Tries all divisions of the path: the result must be one of them, and the one with the longest names. */
  function greedy(value: unknown, path: string): unknown {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    const own = Object.keys(value).filter(
      (name) => name === path || (name !== '' && path.startsWith(`${name}.`)),
    )
    const [longest] = own.toSorted((a, b) => b.length - a.length)
    if (longest === undefined) return undefined
    const next = (value as Record<string, unknown>)[longest]
    return longest === path ? next : greedy(next, path.slice(longest.length + 1))
  }

  test('finds only what the token contains', () => {
    fc.assert(
      fc.property(VALUE.object, fc.array(NAMES, { minLength: 1, maxLength: 5 }), (object, parts) => {
        const claims = claimsOf(JSON.stringify(object))
        expect(claimOf(claims, parts.join('.'))).toEqual(greedy(claims, parts.join('.')))
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('the tenants of a token', () => {
  test.each<[string, string, string[]]>([
    ['one text', '{"t":"acme"}', ['acme']],
    ['one number', '{"t":42}', ['42']],
    ['a list of one', '{"t":["acme"]}', ['acme']],
    ['a list of the same', '{"t":["acme","acme"]}', ['acme']],
    ['an object with one name', '{"t":{"acme":{"id":"1"}}}', ['acme']],
    ['several', '{"t":["acme","globex"]}', ['acme', 'globex']],
    ['an object with several names', '{"t":{"acme":{},"globex":[]}}', ['acme', 'globex']],
    ['the first claim that is there', '{"s":null,"t":"acme"}', ['acme']],
    ['a name that objects have by nature', '{"t":{"__proto__":1}}', ['__proto__']],
  ])('may be %s', (_case, json, expected) => {
    expect(tenantsOf(claimsOf(json), ['s', 't'])).toEqual(expected)
  })

  test.each([
    '{}',
    '{"t":null}',
    '{"t":""}',
    '{"t":[]}',
    '{"t":{}}',
    '{"t":true}',
    '{"t":1.5}',
    '{"t":[["acme"]]}',
  ])('are not %s', (json) => {
    expect(() => tenantsOf(claimsOf(json), ['t'])).toThrow(/tenant/)
  })

  test.each(['{"t":[{"id":"acme"}]}', '{"t":["acme",null]}', '{"t":"a\\u0000"}', '{"t":"a\\nb"}'])(
    'are not %s either',
    (json) => {
      expect(() => tenantsOf(claimsOf(json), ['t'])).toThrow(/tenant/)
    },
  )

  test('are a hundred at most', () => {
    const t = Array.from({ length: 101 }, (_, i) => `t${i}`)
    expect(() => tenantsOf({ t }, ['t'])).toThrow(/tenant/)
    expect(tenantsOf({ t: t.slice(1) }, ['t'])).toHaveLength(100)
  })
})

test('roles are a list, or a text separated by spaces', () => {
  expect(listOf({ r: ['a b', 'c'] }, 'r')).toEqual(['a b', 'c'])
  expect(listOf({ r: 'a  b' }, 'r')).toEqual(['a', 'b'])
  expect(listOf({}, 'r')).toEqual([])
  for (const r of [[1], { a: 1 }, 7, Array(501).fill('x')]) expect(() => listOf({ r }, 'r')).toThrow(/grants/)
})
