import { greet } from '../lib/postgres/database-identity.ts'
import type { GuardedClient } from '../lib/postgres/guarded-client.ts'
import { PoolerUnsupportedError } from '../lib/postgres/pooler-faults.ts'

/** A busy pooler may lend the same session by chance, so one check is not enough. */
const ROUNDS = 3

/**
 * Proves that each connection of `open` has a session of its own. That is true without a pooler, and behind a pooler in session
 * mode. In transaction mode two idle connections share a session, or a connection gets another session for each transaction.
 * @throws PoolerUnsupportedError NO_SESSION
 */
export async function assertWholeSessions(open: () => Promise<GuardedClient>): Promise<void> {
  const one = await open()
  try {
    const { isPooled } = await greet(one)
    if (!isPooled) return
    const other = await open()
    try {
      for (let round = 0; round < ROUNDS; round += 1) {
        if (await isShared(one, other)) throw new PoolerUnsupportedError('NO_SESSION')
      }
    } finally {
      void other.end(() => undefined)
    }
  } finally {
    void one.end(() => undefined)
  }
}

async function isShared(one: GuardedClient, other: GuardedClient): Promise<boolean> {
  const before = await sessionOf(one)
  await other.query('BEGIN')
  try {
    const others = await sessionOf(other)
    // `other` keeps its session while its transaction is open. If `one` used that session before, it must get another one now.
    return others === before || (await sessionOf(one)) !== before
  } finally {
    await other.query('ROLLBACK')
  }
}

async function sessionOf(client: GuardedClient): Promise<string | undefined> {
  const { rows } = await client.query<{ pid: string }>('SELECT pg_catalog.pg_backend_pid()::text AS pid')
  return rows[0]?.pid
}
