import type { ClientBase } from 'pg'

/** Anything that runs a query on one connection. */
export type MigrationClient = Pick<ClientBase, 'query'>

/** Names the isolation level, because a database may default to another. Whether it defaults to read only is left to its owner. */
export const BEGIN = 'BEGIN ISOLATION LEVEL READ COMMITTED;\n'

/** Rolls back what `work` has begun and not committed. */
export async function withRollback(client: MigrationClient, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined)
    throw error
  }
}
