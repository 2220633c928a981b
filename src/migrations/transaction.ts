import type { ClientBase } from 'pg'

/** Anything that runs a query on one connection. */
export type MigrationClient = Pick<ClientBase, 'query'>

/** Sets the isolation level, because a database may have another default. A read-only default of the database stays in force. */
export const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED;\n'

/** Rolls back the transaction if `work` fails. */
export async function withRollback(client: MigrationClient, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
