import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseStrictObject } from '../../../src/identity/tokens/strict-json.ts'

const parse = (text: string) => parseStrictObject(Buffer.from(text, 'utf8'))

describe('strict JSON', () => {
  test('reads every object that JSON.stringify writes, with or without indentation', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 2), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        expect(parse(text)).toEqual(JSON.parse(text))
      }),
    )
  })

  test('accepts the same name in different objects, and as a value', () => {
    expect(parse('{"a":{"a":"a"},"b":[{"a":1},{"a":2}],"c":"a"}')).toEqual({
      a: { a: 'a' },
      b: [{ a: 1 }, { a: 2 }],
      c: 'a',
    })
  })

  test.each([
    '{"a":1,"a":1}',
    '{"a":1,"\\u0061":2}',
    '{"a" : 1, "b": {"c":[{}, "}"], "d\\"":1, "d\\"" :2}}',
    '{"a":1,"b":{"x":"{"},"a" :2}',
    '[]',
    'null',
    '"a"',
    '1',
    '',
    '{',
    '{"a":1}x',
    '\ufeff{}',
  ])('refuses %j', (text) => {
    expect(() => parse(text)).toThrow(SyntaxError)
  })

  test('refuses bytes that are not UTF-8', () => {
    expect(() => parseStrictObject(Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]))).toThrow(
      SyntaxError,
    )
  })
})
