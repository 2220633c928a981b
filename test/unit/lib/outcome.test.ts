import pg from 'pg'
import { describe, expect, test } from 'vitest'
import { isRefusal } from '../../../src/lib/postgres/outcome.ts'

function said(code: string, severity = 'ERROR'): Error {
  return Object.assign(new pg.DatabaseError('…', 1, 'error'), { code, severity })
}

describe('the database has reported that a statement was not executed', () => {
  test.each(['23505', '22P02', '40001', '40P01', '42501', '53100', '57014', 'FH001', 'XX000', 'P0001'])(
    'with %s',
    (code) => {
      expect(isRefusal(said(code))).toBe(true)
      // In the form in which drizzle passes it on.
      expect(isRefusal(new Error('Failed query', { cause: said(code) }))).toBe(true)
    },
  )
})

describe('the outcome of a statement is unknown', () => {
  test.each(['57P01', '57P02', '57P03', '57P05', '08006', '08P01', '08007', '25P03', '25P04', '40003'])(
    'with %s, in any language of the severity',
    (code) => {
      for (const severity of ['ERROR', 'FATAL', 'ВАЖНО', '致命错误'])
        expect(isRefusal(said(code, severity))).toBe(false)
    },
  )

  test.each(['FATAL', 'PANIC'])('when the server ends the connection: %s', (severity) => {
    expect(isRefusal(said('XX000', severity))).toBe(false)
    expect(isRefusal(said('53200', severity))).toBe(false)
  })

  test('with an error of the socket or the driver', () => {
    expect(isRefusal(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))).toBe(false)
    expect(isRefusal(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }))).toBe(false)
    expect(isRefusal(new Error('Query read timeout'))).toBe(false)
    expect(isRefusal(undefined)).toBe(false)
  })
})
