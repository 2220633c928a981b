import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseEpoch } from '../../../src/residence/epochs.ts'

test('an epoch from any database leaves room for the next one', () => {
  const texts = fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
    fc.maxSafeNat().map(String),
    fc.string(),
  )
  fc.assert(
    fc.property(texts, (text) => {
      const epoch = parseEpoch(text)
      if (epoch === null) return
      expect(String(epoch)).toBe(text.replace(/^0+(?=\d)/, ''))
      expect(epoch + 1).toBeGreaterThan(epoch)
      expect(Number.isSafeInteger(epoch + 1)).toBe(true)
    }),
  )
})

test.each(['0', '1', '4503599627370496'])('%s is an epoch', (text) =>
  expect(parseEpoch(text)).toBe(Number(text)),
)

test.each(['', '-1', '1.5', '1e3', 'NaN', '4503599627370497', '9223372036854775807', ' 1'])(
  '%j is not an epoch',
  (text) => expect(parseEpoch(text)).toBeNull(),
)
