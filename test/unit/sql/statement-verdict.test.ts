import { describe, expect, test } from 'vitest'
import { ProtocolViolation } from '../../../src/lib/wire/backend-messages.ts'
import { HandlerFault } from '../../../src/lib/wire/handler-fault.ts'
import { StatementFault } from '../../../src/pools/wire/statement-fault.ts'
import { publicError, verdictOn } from '../../../src/sql/statement-verdict.ts'

const never = () => false
const ours = new StatementFault(true, new HandlerFault(new TypeError('undefined is no row')))
const theirs = new StatementFault(true, new ProtocolViolation('a message that cannot be read'))

describe('a statement that failed because our own code threw', () => {
  test('is not run again, and is reported as our fault', () => {
    expect(verdictOn(ours, { kind: 'read', attempts: 1, ownSql: false })).toBe('final')
    expect(publicError(ours, 'read', never)).toBe(ours)
  })

  test('runs again if it was not sent', () => {
    const unsent = new StatementFault(false, ours)
    expect(verdictOn(unsent, { kind: 'write', attempts: 1, ownSql: false })).toBe('again')
  })

  test('has an unknown outcome if it was a write', () => {
    expect(verdictOn(ours, { kind: 'write', attempts: 1, ownSql: false })).toBe('final')
    expect(publicError(ours, 'write', never)).toMatchObject({ code: 'OUTCOME_UNKNOWN' })
  })
})

test('a statement that failed because the server broke the protocol is reported as a fault of the database', () => {
  expect(verdictOn(theirs, { kind: 'read', attempts: 1, ownSql: false })).toBe('again')
  expect(publicError(theirs, 'read', never)).toMatchObject({ code: 'TENANT_DATABASE_UNAVAILABLE' })
})
