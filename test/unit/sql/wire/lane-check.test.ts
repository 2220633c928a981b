import { expect, test } from 'vitest'
import { assertAnswers, checkBytes, numberAfter, writeNumber } from '../../../../src/sql/wire/lane-check.ts'
import { dataRow } from '../../../support/backend-messages.ts'
import { TestUnit } from '../../../support/wire-world.ts'

const HEADER = 5

function answer(tenantId: string, number: string): Buffer {
  return dataRow(tenantId, 'seal', '', number).subarray(HEADER)
}

test('the numbers of units go round after the highest, and all are as long', () => {
  expect([numberAfter(0), numberAfter(0xffff_fffe), numberAfter(0xffff_ffff)]).toEqual([1, 0xffff_ffff, 0])
  const { tenantId, tenantCheck } = new TestUnit()
  for (const [number, text] of [
    [0, '00000000'],
    [1, '00000001'],
    [0xabcdef, '00abcdef'],
    [0xffff_ffff, 'ffffffff'],
  ] as const) {
    const bytes = Buffer.from(checkBytes(tenantCheck))
    writeNumber(bytes, bytes.length, number)
    expect(bytes.includes(`\0\0\0\x08${text}\0\0E`)).toBe(true)
    expect(() => assertAnswers(answer(tenantId, text), 0, { tenantId, number })).not.toThrow()
    const other = { tenantId, number: numberAfter(number) }
    expect(() => assertAnswers(answer(tenantId, text), 0, other)).toThrow('an answer to another unit')
  }
})

test('the bytes of a check are made once, and no unit writes its number into them', () => {
  const { tenantCheck } = new TestUnit()
  const bytes = checkBytes(tenantCheck)
  const copy = Buffer.from(bytes)
  writeNumber(copy, copy.length, 7)
  expect(checkBytes(tenantCheck)).toBe(bytes)
  expect(bytes.includes('00000007')).toBe(false)
  expect(checkBytes(new TestUnit().tenantCheck).equals(bytes)).toBe(false)
})
