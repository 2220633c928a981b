import { describe, expect, test } from 'vitest'
import { baseUrlOf } from '../../../src/cli/calls/credentials.ts'
import { adviceOn, barOf, exitOfRun } from '../../../src/cli/calls/follow.ts'
import { fieldsOf, tableOf } from '../../../src/cli/calls/layout.ts'
import { columnsOf, cut, plain, plainJson } from '../../../src/cli/calls/plain-text.ts'
import { refusalOf } from '../../../src/cli/calls/refusals.ts'

const paint = (shown: string) => shown
const COLUMNS = ['code', 'status', 'database.status', 'name', 'id']
const ID = '01999999-0000-7000-8000-000000000000'
const rows = [
  { code: 'acme-corp', status: 'ACTIVE', database: { status: 'active' }, name: 'Acme Corporation', id: ID },
  {
    code: 'a-very-long-code-of-a-tenant-with-many-words',
    status: 'INACTIVE',
    database: null,
    name: '株式会社',
    id: ID,
  },
]

describe('a table', () => {
  test.each([1, 10, 20, 40, 80, 100, 200])('fits into %i columns', (width) => {
    const { lines } = tableOf(rows, COLUMNS, { width, paint })
    for (const line of lines) expect(columnsOf(line)).toBeLessThanOrEqual(width)
  })

  test('names the columns that it leaves out', () => {
    expect(tableOf(rows, COLUMNS, { width: 40, paint }).hidden).toEqual(['name', 'id'])
    expect(tableOf(rows, COLUMNS, { width: 200, paint }).hidden).toEqual([])
  })

  test('cuts nothing if the output is not a terminal', () => {
    const { lines } = tableOf(rows, COLUMNS, { width: Number.POSITIVE_INFINITY, paint })
    expect(lines[0]).toMatch(/^CODE +STATUS +DATABASE STATUS +NAME +ID$/)
    expect(lines[2]).toContain(rows[1]?.code)
    expect(lines[2]).toMatch(/INACTIVE +- /)
  })

  test('shows a new key whole, in a terminal of any width', () => {
    const key = `fhk_${'x'.repeat(60)}`
    expect(fieldsOf({ key, inner: { at: null } }, { width: 20, paint })).toEqual([
      `key       ${key}`,
      'inner.at  -',
    ])
  })
})

describe('a hostile text', () => {
  const HOSTILE = ['\u001b[2J', '\u009b31m', '\u202e', '\u200b', '\u0007', '\u2028', '\r']

  test.each(HOSTILE)('%j controls no terminal, and its JSON stays the same', (text) => {
    const controls = /[\p{Cc}\p{Cf}\p{Zl}]/u
    expect(plain(`a${text}b`)).not.toMatch(controls)
    expect(plainJson({ text }).replaceAll('\n', '')).not.toMatch(controls)
    expect(JSON.parse(plainJson({ text }))).toEqual({ text })
    expect(refusalOf(400, { title: text, detail: text, code: text }).message).not.toMatch(controls)
  })

  test('a wide character takes two columns', () => {
    expect(columnsOf('株式e\u0301')).toBe(5)
    expect(cut('株式会社', 5)).toBe('株式…')
  })
})

describe('a refusal', () => {
  test('is one line with its remedy, and keeps the document', () => {
    const problem = { title: 'An operator is required', code: 'OPERATOR_REQUIRED', status: 403 }
    const error = refusalOf(403, problem)
    expect(error.message).toBe(
      "An operator is required. This is a tenant's token. Set FREEHOLD_TOKEN or --token-file to an operator's token (OPERATOR_REQUIRED)",
    )
    expect(error.problem).toBe(problem)
  })

  test('names every field that is not valid', () => {
    const errors = [
      { pointer: '/code', message: 'is taken' },
      { pointer: '/name', message: 'is empty' },
    ]
    expect(refusalOf(400, { title: 'Not valid', code: 'VALIDATION_FAILED', errors }).message).toBe(
      'Not valid. /code is taken; /name is empty (VALIDATION_FAILED)',
    )
  })

  test.each([null, 'text', [], { errors: 7 }])('of the shape %j is told as well', (body) => {
    expect(refusalOf(500, body).message).toContain('HTTP_500')
  })
})

describe('the address of the gateway', () => {
  test.each([
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080'],
    ['http://localhost:8080/', 'http://localhost:8080'],
    ['http://[::1]:8080', 'http://[::1]:8080'],
    ['https://gateway.example.com/below/', 'https://gateway.example.com/below'],
  ])('%s may be called', (given, base) => expect(baseUrlOf(given)).toBe(base))

  test.each([
    ['http://gateway.example.com', 'PLAIN_HTTP_REFUSED'],
    ['http://127.example.com', 'PLAIN_HTTP_REFUSED'],
    ['http://10.0.0.1', 'PLAIN_HTTP_REFUSED'],
    ['http://localhost.example.com', 'PLAIN_HTTP_REFUSED'],
    ['ftp://127.0.0.1', 'USAGE'],
    ['gateway', 'USAGE'],
    ['https://user:password@gateway.example.com', 'USAGE'],
    ['https://gateway.example.com/?token=x', 'USAGE'],
  ])('%s is refused', (given, code) => {
    expect(() => baseUrlOf(given)).toThrow(expect.objectContaining({ code }))
  })
})

test('the bar of a run fits, whatever its counts', () => {
  const run = (total: number, done: number, failed: number) => ({
    ...{ id: ID, status: 'running', wave: 1, waves: total === 10 ? [{}, {}, {}] : [{}] },
    counts: { total, done, failed, skipped: 0 },
  })
  expect(barOf(run(10, 4, 1), 80)).toBe('##########..........  5 of 10, wave 2 of 3, 1 failed')
  expect(barOf(run(0, 0, 0), 80)).toBe(`${'.'.repeat(20)}  0 of 0`)
  expect(barOf(run(10, 4, 1), 20)).toHaveLength(19)
})

test.each([
  ['succeeded', 0, null],
  ['failed', 3, 'retry'],
  ['halted', 3, 'retry'],
  ['paused', 3, 'resume'],
  ['cancelled', 1, null],
])('a run that is %s ends the command with %i, and names what to do', (status, code, verb) => {
  const run = { id: ID, status, wave: 0, waves: [], counts: { total: 1, done: 0, failed: 1, skipped: 0 } }
  expect(exitOfRun(run)).toBe(code)
  if (verb === null) expect(adviceOn(run)).toBeNull()
  else expect(adviceOn(run)).toContain(`freehold migrations ${verb} ${ID}`)
})
