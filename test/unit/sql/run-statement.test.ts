import pg from 'pg'
import { expect, test } from 'vitest'
import { HandlerFault } from '../../../src/lib/wire/handler-fault.ts'
import { isLost, StatementFault } from '../../../src/pools/wire/statement-fault.ts'
import { runStatement } from '../../../src/sql/run-statement.ts'

const STATEMENT = { text: 'UPDATE places SET name = $1', values: ['a'], rowMode: 'object' } as const
const OPTIONS = { tenantCheck: null, begin: false, writes: true } as const

const said = (code: string) =>
  Object.assign(new pg.DatabaseError('a name that is taken', 1, 'error'), { code, severity: 'ERROR' })

/** A client whose connection takes a statement, and then gives its query this error. */
function clientThatFails(error: Error): pg.ClientBase {
  const stream = { cork() {}, uncork() {} }
  const [parse, bind, describe, execute, close, sync] = Array.from({ length: 6 }, () => () => undefined)
  const connection = { stream, parse, bind, describe, execute, close, sync }
  const query = (unit: { submit(on: object): void; handleError(error: Error, on: object): void }) => {
    unit.submit(connection)
    unit.handleError(error, connection)
  }
  return { query } as unknown as pg.ClientBase
}

const outcomeOf = (error: Error) =>
  runStatement(clientThatFails(error), STATEMENT, OPTIONS).catch((thrown: unknown) => thrown)

test('an error that the database has sent is its answer', async () => {
  const answer = said('23505')
  expect(await outcomeOf(answer)).toBe(answer)
})

test.each(['23505', '26000'])(
  'a fault of ours is no answer of the database, although it carries the SQLSTATE %s',
  async (sqlState) => {
    const thrown = await outcomeOf(new HandlerFault(said(sqlState)))
    expect(thrown).toBeInstanceOf(StatementFault)
    // The statement was sent, and may have been executed.
    expect(isLost(thrown)).toBe(true)
  },
)
