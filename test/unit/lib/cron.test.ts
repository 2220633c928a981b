import { describe, expect, it } from 'vitest'
import { isCron } from '../../../src/lib/cron.ts'

describe('when a job is run', () => {
  it.each(['* * * * *', '0 7 * * *', '*/10 * * * * *', '0 3 1 1,7 1-5', ' 0  3 * * * '])(
    'is said by %j',
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
  ])('is not said by %j', (text) => {
    expect(isCron(text)).toBe(false)
  })
})
