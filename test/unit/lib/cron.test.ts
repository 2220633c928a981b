import { describe, expect, it } from 'vitest'
import { isCron } from '../../../src/lib/cron.ts'

describe('a cron expression', () => {
  it.each(['* * * * *', '0 7 * * *', '*/10 * * * * *', '0 3 1 1,7 1-5', ' 0  3 * * * '])(
    'can be %j',
    (text) => {
      expect(isCron(text)).toBe(true)
    },
  )

  it.each([
    '',
    'daily',
    '@daily',
    '* * * *',
    '* * * * * * *',
    '61 * * * *',
    '0 25 * * *',
    '0 3 * * * ;',
    7,
    null,
    undefined,
  ])('cannot be %j', (text) => {
    expect(isCron(text)).toBe(false)
  })
})
