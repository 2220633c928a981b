import { describe, expect, test } from 'vitest'
import { DataKey } from '../../../src/crypto/keyring.ts'
import { makeKid, ownerOfKid } from '../../../src/identity/tokens/key-ids.ts'

const TENANT = '01890000-0000-7000-8000-00000000000a'
const dataKey = DataKey.generate()

describe('the id of a key', () => {
  test('names the owner of the key', () => {
    expect(ownerOfKid(dataKey, makeKid(dataKey, TENANT))).toBe(TENANT)
    expect(ownerOfKid(dataKey, makeKid(dataKey, null))).toBeNull()
    expect(makeKid(dataKey, TENANT)).toMatch(/^t\.[\w-]{22}\.[\w-]{12}\.[\w-]{11}$/)
    expect(makeKid(dataKey, TENANT)).not.toBe(makeKid(dataKey, TENANT))
  })

  test('is not ours after any change, or from another data key', () => {
    for (const kid of [makeKid(dataKey, TENANT), makeKid(dataKey, null)]) {
      expect(ownerOfKid(DataKey.generate(), kid)).toBeUndefined()
      for (let i = 0; i < kid.length; i += 1) {
        for (const letter of ['A', 'B', '_', '.', '=']) {
          const forged = `${kid.slice(0, i)}${letter}${kid.slice(i + 1)}`
          if (forged !== kid) expect(ownerOfKid(dataKey, forged)).toBeUndefined()
        }
      }
    }
  })

  test.each([
    '',
    's',
    't.',
    't..',
    's..',
    '__proto__',
    's.AAAAAAAAAAAA.AAAAAAAAAAA',
    `t.${'A'.repeat(10_000)}`,
  ])('is not ours: %j', (kid) => {
    expect(ownerOfKid(dataKey, kid)).toBeUndefined()
  })
})
