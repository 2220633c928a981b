import { DrizzleQueryError } from 'drizzle-orm'
import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { fail } from '../../../src/errors.ts'
import { Secret } from '../../../src/lib/secret.ts'
import { createLogger, type Logger } from '../../../src/logger.ts'

const CANARY = 'canary-2b7d'

function logged(write: (log: Logger) => void): string {
  const lines: string[] = []
  write(createLogger('trace', { write: (line) => void lines.push(line) }))
  expect(lines).toHaveLength(1)
  return lines[0] ?? ''
}

function databaseError(): Error {
  const error = new pg.DatabaseError('duplicate key', 99, 'error')
  return Object.assign(error, {
    ...{ code: '23505', severity: 'ERROR', constraint: 'users_email_key', table: 'users' },
    ...{
      detail: `Key (email)=(${CANARY}) already exists.`,
      where: CANARY,
      internalQuery: CANARY,
      client: { CANARY },
    },
  })
}

describe('the log', () => {
  it('is one JSON line with a level, a time and the fields', () => {
    const line = logged((log) =>
      log.child({ requestId: 'r1' }).warn({ port: 5432, at: new Date(0) }, 'listening'),
    )
    expect(line.endsWith('\n')).toBe(true)
    expect(JSON.parse(line)).toEqual({
      ...{ level: 'warn', time: expect.any(String), requestId: 'r1', port: 5432, msg: 'listening' },
      at: '1970-01-01T00:00:00.000Z',
    })
  })

  it.each<[string, (log: Logger) => void]>([
    ['passwords', (log) => log.info({ user: { password: CANARY } })],
    [
      'headers',
      (log) => log.info({ headers: { authorization: CANARY, 'x-client-key': CANARY, cookie: CANARY } }),
    ],
    ['tokens at any depth', (log) => log.info({ a: { b: { c: [{ refreshToken: CANARY }] } } })],
    ['connection strings by name', (log) => log.info({ connectionString: CANARY, DATABASE_URL: CANARY })],
    ['connection strings by form', (log) => log.info({ note: `postgresql://u:${CANARY}@h/d` })],
    ['secrets of a child', (log) => log.child({ secret: CANARY }).info('hello')],
    ['wrapped secrets', (log) => log.info({ wrapped: new Secret(CANARY) })],
    ['pools', (log) => log.info({ pool: new pg.Pool({ connectionString: `postgresql://u:${CANARY}@h/d` }) })],
    ['clients of errors', (log) => log.error({ err: databaseError() }, 'a query failed')],
    ['details of a database', (log) => log.error(databaseError())],
    ['parameters', (log) => log.error(new DrizzleQueryError('insert', [CANARY], databaseError()))],
    [
      'parameters under another name',
      (log) => log.error({ error: new DrizzleQueryError('insert', [CANARY]) }, 'x'),
    ],
    [
      'parameters of causes',
      (log) => log.error(fail('CATALOG_UNAVAILABLE', { cause: new DrizzleQueryError('q', [CANARY]) })),
    ],
    ['URLs in messages', (log) => log.error(new Error(`cannot reach postgresql://u:${CANARY}@h:5432/d`))],
  ])('contains no secret of %s', (_what, write) => {
    expect(logged(write)).not.toContain(CANARY)
  })

  it('keeps the fields that identify an error', () => {
    const line = logged((log) => log.error(new DrizzleQueryError('insert', [CANARY], databaseError())))
    expect(JSON.parse(line)).toMatchObject({
      msg: 'duplicate key',
      err: {
        message: 'duplicate key',
        code: '23505',
        severity: 'ERROR',
        constraint: 'users_email_key',
        table: 'users',
      },
    })
  })

  it('makes text of a hostile server harmless', () => {
    const hostile = new Error(`a\r\n{"level":"fatal"}\u001b[2J\u2028${'x'.repeat(10_000)}`)
    const line = logged((log) => log.error(hostile))
    expect(line.length).toBeLessThan(4000)
    const { err } = JSON.parse(line) as { err: { message: string } }
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
    expect(err.message).not.toMatch(/[\u0000-\u001f\u2028]/)
  })

  it('accepts values that refer to themselves', () => {
    const self: Record<string, unknown> = {}
    self.self = self
    const error = new Error('x')
    error.cause = error
    expect(logged((log) => log.error({ self, err: error }, 'loop'))).toContain('loop')
  })
})
