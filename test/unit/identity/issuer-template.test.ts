import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  doOverlap,
  fillTemplate,
  isSoundTemplate,
  tidIn,
} from '../../../src/identity/tokens/issuer-template.ts'

const TEMPLATE = 'https://login.example/{tid}/v2.0'
const TID = '11111111-2222-3333-4444-555555555555'

describe('a template of issuers', () => {
  test('matches an issuer with one directory id', () => {
    expect(tidIn(TEMPLATE, `https://login.example/${TID}/v2.0`)).toBe(TID)
    expect(tidIn('https://sts.example/{tid}/', `https://sts.example/${TID}/`)).toBe(TID)
  })

  test.each([
    ...['', 'https://login.example//v2.0', 'https://login.example/v2.0', TEMPLATE],
    ...[
      `https://login.example/${TID}/v2.0/`,
      `https://login.example/${TID}`,
      `https://evil.example/${TID}/v2.0`,
    ],
    ...[
      `https://login.example/a/${TID}/v2.0`,
      'https://login.example/../v2.0',
      'https://login.example/./v2.0',
    ],
    ...[
      'https://login.example/a%2fb/v2.0',
      'https://login.example/a?b/v2.0',
      'https://login.example/a#b/v2.0',
    ],
    ...['https://login.example/a\n/v2.0', 'https://login.example/é/v2.0', 'https://login.example/a@b/v2.0'],
    ...[`https://login.example/${'a'.repeat(129)}/v2.0`],
  ])('does not match %j', (name) => {
    expect(tidIn(TEMPLATE, name)).toBeNull()
  })

  test('gives a URL on the same server for any directory id that it accepts', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const tid = tidIn(TEMPLATE, `https://login.example/${text}/v2.0`)
        if (tid === null) return
        expect(tid).toBe(text)
        const { origin, pathname, search, hash } = new URL(
          fillTemplate('https://keys.example/{tid}/keys', tid),
        )
        expect([origin, pathname, search, hash]).toEqual(['https://keys.example', `/${tid}/keys`, '', ''])
      }),
    )
  })

  test('overlaps with another if one issuer could match both', () => {
    expect(doOverlap('https://a/{tid}/x', 'https://a/b/{tid}')).toBe(true)
    expect(doOverlap(TEMPLATE, TEMPLATE)).toBe(true)
    expect(doOverlap('https://a/{tid}/x', 'https://a/{tid}/y')).toBe(false)
    expect(doOverlap('https://a/{tid}', 'https://b/{tid}')).toBe(false)
    expect(doOverlap('https://a/{tid}', 'https://a/{tid}/')).toBe(false)
  })

  test('has the directory id as a whole segment of its path', () => {
    for (const sound of [TEMPLATE, 'https://a/{tid}', 'http://127.0.0.1:1/{tid}/'])
      expect(isSoundTemplate(sound)).toBe(true)
    for (const text of [
      'https://{tid}/',
      'https://a/x{tid}',
      'https://a?{tid}',
      'https://a/{tid}{tid}',
      'https://a/{tid}/{x}',
    ])
      expect(isSoundTemplate(text)).toBe(false)
  })
})
