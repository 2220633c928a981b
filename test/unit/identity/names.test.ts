import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { storedSpellings, typedCode, typedName } from '../../../src/identity/people/names.ts'

describe('a typed tenant code', () => {
  test.each([
    ['acme-corp', 'acme-corp'],
    ['  ACME-Corp\t', 'acme-corp'],
    ['\u00a0Acme\ufeff', 'acme'],
    ['ac me', 'ac me'],
  ])('%j is %j', (typed, code) => {
    expect(typedCode(typed)).toBe(code)
  })

  test.each(['\u212a', '\u0130', '\u0131', '\u017f', '\uff21'])(
    'keeps %j, which is no letter of a code',
    (letter) => {
      expect(typedCode(`a${letter}z`)).toBe(`a${letter}z`)
    },
  )
})

describe('a typed address', () => {
  test.each([
    ['  Ada@Acme.Example ', 'ada@acme.example'],
    ['JOSE\u0301@x.example', 'jos\u00e9@x.example'],
    ['I@x.example', 'i@x.example'],
    ['\u0131@x.example', '\u0131@x.example'],
    ['\u0130@x.example', 'i\u0307@x.example'],
    ['STRASSE@x.example', 'strasse@x.example'],
    ['\u1e9e@x.example', '\u00df@x.example'],
  ])('%j is %j', (typed, name) => {
    expect(typedName(typed)).toBe(name)
  })

  test('distinguishes the Turkish dotless i from i, and the sharp s from ss', () => {
    expect(typedName('\u0131brahim@x.example')).not.toBe(typedName('ibrahim@x.example'))
    expect(typedName('stra\u00dfe@x.example')).not.toBe(typedName('strasse@x.example'))
  })

  test('has one stored spelling for composed and decomposed letters, also when it is folded twice', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (text) => {
        const name = typedName(text)
        expect(typedName(name)).toBe(name)
        expect(typedName(text.normalize('NFD'))).toBe(typedName(text.normalize('NFC')))
        expect(typedName(` ${text} `)).toBe(name)
        expect(storedSpellings(text)).toContain(name)
      }),
      { numRuns: 1_000 },
    )
  })
})
