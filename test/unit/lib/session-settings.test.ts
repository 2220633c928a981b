import fc from 'fast-check'
import { expect, test } from 'vitest'
import {
  columnsOf,
  deviation,
  provenColumns,
  startupOptions,
  wantedSettings,
} from '../../../src/lib/postgres/session-settings.ts'

const LIMITS = { statementTimeoutMs: 15_000, idleInTransactionMs: 60_000, plansOnce: true }

test('limits are written as PostgreSQL prints them', () => {
  const printed = (ms: number) =>
    wantedSettings({ ...LIMITS, statementTimeoutMs: ms }).find(({ name }) => name === 'statement_timeout')
      ?.value
  expect([1, 999, 1_000, 1_500, 60_000, 90_000, 3_600_000, 86_400_000].map(printed)).toEqual([
    '1ms',
    '999ms',
    '1s',
    '1500ms',
    '1min',
    '90s',
    '1h',
    '1d',
  ])
  expect(printed(0)).toBeUndefined()
})

test('a setting that is wrong or missing in a row is reported by its name', () => {
  const wanted = wantedSettings(LIMITS)
  const row = Object.fromEntries(wanted.map(({ name, value }) => [name.toLowerCase(), value]))
  expect(deviation(wanted, row)).toBeNull()
  fc.assert(
    fc.property(
      fc.constantFrom(...wanted),
      fc.option(fc.string(), { nil: undefined }),
      ({ name, value }, other) => {
        fc.pre(other !== value)
        expect(deviation(wanted, { ...row, [name.toLowerCase()]: other })).toBe(name)
      },
    ),
  )
})

test('every start setting of a session is read back, and is set again with each statement if possible', () => {
  const wanted = wantedSettings(LIMITS)
  for (const [, name = ''] of startupOptions(LIMITS).matchAll(/-c (\w+)=/g)) {
    expect(columnsOf(wanted)).toContain(`current_setting('${name}') AS ${name.toLowerCase()}`)
    const travelling = name === 'default_transaction_isolation' ? 'transaction_isolation' : name
    expect(provenColumns(wanted, 5)).toContain(`set_config('${travelling}', `)
  }
})
