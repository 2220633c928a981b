import { describe, expect, test } from 'vitest'
import { keyLookup, makeKey } from '../../../src/identity/callers/opaque-keys.ts'

describe('a client key or operator token', () => {
  test.each(['fhk', 'fho'] as const)('%s has the documented form and finds its own lookup', (kind) => {
    const key = makeKey(kind)
    expect(key.text).toMatch(new RegExp(`^${kind}_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$`))
    expect(keyLookup(kind, key.text)).toBe(key.lookup)
    expect(key.prefix).toBe(`${kind}_${key.lookup.slice(0, 8)}`)
  })

  test('uses the whole alphabet, and no two are equal', () => {
    const texts = Array.from({ length: 500 }, () => makeKey('fhk').text)
    expect(new Set(texts).size).toBe(500)
    expect(new Set(texts.join('').replaceAll('_', '')).size).toBe(62)
  })

  test('of the other kind is not recognised', () => {
    expect(keyLookup('fho', makeKey('fhk').text)).toBeNull()
    expect(keyLookup('fhk', makeKey('fho').text)).toBeNull()
  })

  const { text } = makeKey('fhk')
  test.each([
    '',
    'fhk_',
    text.slice(0, -1),
    `${text}a`,
    `${text}\n`,
    ` ${text}`,
    text.toUpperCase(),
    text.replace('fhk_', 'fhk-'),
    text.replace(/.$/, 'é'),
    text.replace(/.$/, '-'),
    `fhk_'or'1'='1'__${'a'.repeat(43)}`,
    'fhk_'.repeat(100_000),
  ])('of another form is not recognised (%#)', (wrong) => {
    expect(keyLookup('fhk', wrong)).toBeNull()
  })
})
