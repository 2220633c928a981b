import { describe, expect, it } from 'vitest'
import { matchesNone, parseIfMatch } from '../../../src/collections/etag.ts'

describe('If-Match', () => {
  it.each([
    [undefined, null],
    ['*', null],
    [' * ', null],
    ['"a"', ['a']],
    ['"a", "b","c"', ['a', 'b', 'c']],
    ['"a,b"', ['a,b']],
    ['"a b"', []],
    ['W/"a", "b"', ['b']],
    ['W/"a"', []],
    ['a', []],
    ['"a" "b"', []],
    ['"a', []],
    ['*, "a"', []],
    ['', []],
  ])('%j names %j', (header, tags) => {
    expect(parseIfMatch(header)).toEqual(tags)
  })

  it('is read fast even if the header is hostile', () => {
    const started = performance.now()
    expect(parseIfMatch(`${'""'.repeat(50_000)}x`)).toEqual([])
    expect(parseIfMatch(`"${'", "'.repeat(1000)}x`)).toEqual([])
    expect(performance.now() - started).toBeLessThan(1_000)
  })
})

describe('If-None-Match', () => {
  it.each([
    [undefined, true],
    ['"a"', false],
    ['W/"a"', false],
    ['"b", "a"', false],
    ['*', false],
    ['"b"', true],
    ['a', true],
  ])('%j allows an answer with the row "a": %j', (header, answered) => {
    expect(matchesNone(header, 'a')).toBe(answered)
  })
})
