import { expect, test } from 'vitest'
import { numberAfter, UnitWriter } from '../../../../src/sql/wire/unit-writer.ts'
import { TestUnit } from '../../../support/wire-world.ts'

/** What a check sends as its last parameter, and the end of its Bind. */
const numbered = (text: string) => `\0\0\0\x08${text}\0\0E`

function written(writer: UnitWriter, unit: TestUnit): Buffer {
  writer.add(unit, false)
  return Buffer.from(writer.take())
}

test('the numbers of units go round after the highest', () => {
  expect([numberAfter(0), numberAfter(0xffff_fffe), numberAfter(0xffff_ffff)]).toEqual([1, 0xffff_ffff, 0])
})

test('each unit of a connection has the next number, and all numbers are as long', () => {
  const writer = new UnitWriter()
  const units = Array.from({ length: 20 }, () => new TestUnit())
  for (const unit of units) expect(written(writer, unit).includes(numbered(unit.number))).toBe(true)
  expect(units.map(({ number }) => number).slice(0, 3)).toEqual(['00000001', '00000002', '00000003'])
  expect(units.at(-1)?.number).toBe('00000014')
})

test('a unit that cannot be written takes no number', () => {
  const writer = new UnitWriter()
  expect(() => writer.add(new TestUnit({ values: new Array(65_536).fill('') }), false)).toThrow(RangeError)
  expect(writer.isEmpty).toBe(true)
  expect(written(writer, new TestUnit()).includes(numbered('00000001'))).toBe(true)
})

test('no unit writes its number into the check of another one', () => {
  const [one, other] = [new TestUnit(), new TestUnit()]
  const writer = new UnitWriter()
  for (let n = 0; n < 6; n += 1) writer.add(one, false)
  writer.take()
  expect(written(writer, one).includes(numbered('00000007'))).toBe(true)
  expect(written(new UnitWriter(), one).includes(numbered('00000001'))).toBe(true)
  expect(written(writer, other).includes(one.tenantId)).toBe(false)
})
