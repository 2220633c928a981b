import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rangeOf } from '../../../src/applications/property/routes/byte-range.ts'

describe('Range', () => {
  it.each([
    ['bytes=0-0', { first: 0, last: 0 }],
    ['bytes=0-9', { first: 0, last: 9 }],
    ['bytes=3-', { first: 3, last: 9 }],
    ['bytes=3-99', { first: 3, last: 9 }],
    ['bytes=-1', { first: 9, last: 9 }],
    ['bytes=-99', { first: 0, last: 9 }],
    ['Bytes= 3-4 ', { first: 3, last: 4 }],
  ])('%s of ten bytes is %j', (header, range) => {
    expect(rangeOf(header, 10)).toEqual(range)
  })

  it.each(['bytes=10-', 'bytes=10-12', 'bytes=-0', 'bytes=999999999999999-'])(
    '%s of ten bytes cannot be satisfied',
    (header) => {
      expect(rangeOf(header, 10)).toBeNull()
    },
  )

  it.each([
    undefined,
    '',
    'bytes=',
    'bytes=-',
    'bytes=4-3',
    'bytes=a-b',
    'bytes=0-1,3-4',
    'items=0-1',
    'bytes=1.5-2',
    'bytes=-1-2',
    'bytes=9999999999999999-',
  ])('%j requests the whole content', (header) => {
    expect(rangeOf(header, 10)).toBeUndefined()
  })

  it('of empty content cannot be satisfied', () => {
    for (const header of ['bytes=0-', 'bytes=0-0', 'bytes=-1']) expect(rangeOf(header, 0)).toBeNull()
  })

  it('never goes beyond the content', () => {
    const header = fc
      .tuple(fc.option(fc.nat()), fc.option(fc.nat()))
      .map(([a, b]) => `bytes=${a ?? ''}-${b ?? ''}`)
    fc.assert(
      fc.property(header, fc.nat(), (asked, size) => {
        const range = rangeOf(asked, size)
        if (range === null || range === undefined) return
        expect(range.first).toBeGreaterThanOrEqual(0)
        expect(range.last).toBeLessThan(size)
        expect(range.first).toBeLessThanOrEqual(range.last)
      }),
    )
  })
})
