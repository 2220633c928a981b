import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RowReader } from '../../../../src/sql/wire/row-reader.ts'
import { int16, int32 } from '../../../support/backend-messages.ts'

const asText = (text: string) => text
const anyText = fc.oneof(
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.lorem({ maxCount: 60 }),
)
/** PostgreSQL sends only UTF-8, but nothing makes another server do so. */
const anyBytes = fc.oneof(
  { weight: 5, arbitrary: anyText.map((text) => Buffer.from(text)) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
)

function bodyOf(values: readonly (Buffer | null)[]): Buffer {
  const parts = values.flatMap((value) => (value === null ? [int32(-1)] : [int32(value.length), value]))
  return Buffer.concat([int16(values.length), ...parts])
}

test('reads each value as if it were decoded by itself', () => {
  const property = fc.property(
    fc.array(fc.option(anyBytes), { maxLength: 12 }),
    fc.uint8Array({ maxLength: 20 }),
    (values, before) => {
      const reader = new RowReader(values.map((_, index) => ({ name: `c${index}`, read: asText })))
      const body = bodyOf(values)
      const bytes = Buffer.concat([before, body, Buffer.from('é')])
      const row = reader.read(bytes, before.length, before.length + body.length)
      expect(Object.entries(row)).toEqual(
        values.map((value, index) => [`c${index}`, value === null ? null : value.toString('utf8')]),
      )
    },
  )
  fc.assert(property, { numRuns: 2_000 })
})

test.each([127, 128, 195, 233, 255, 256, 50_000, 0xc3a9, 0xf090])('reads a value of %i bytes', (size) => {
  const reader = new RowReader([
    { name: 'first', read: asText },
    { name: 'second', read: asText },
  ])
  for (const text of ['x'.repeat(size), 'é'.repeat(Math.floor(size / 2)).padEnd(Math.ceil(size / 2), 'x')]) {
    const body = bodyOf([Buffer.from(text), Buffer.from('end')])
    expect(reader.read(body, 0, body.length)).toEqual({ first: text, second: 'end' })
  }
})

test('names each column also where it is null, in the order of the columns', () => {
  const reader = new RowReader(['b', 'a', 'c'].map((name) => ({ name, read: asText })))
  const body = bodyOf([null, Buffer.from('1'), null])
  expect(JSON.stringify(reader.read(body, 0, body.length))).toBe('{"b":null,"a":"1","c":null}')
  // A row does not keep the values of the one before it.
  const empty = bodyOf([null, null, null])
  expect(JSON.stringify(reader.read(empty, 0, empty.length))).toBe('{"b":null,"a":null,"c":null}')
})
