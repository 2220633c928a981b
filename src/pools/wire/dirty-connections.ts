import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { isPooled } from '../../lib/postgres/database-identity.ts'
import { sendCommand } from '../../lib/wire/send-command.ts'
import { sessionSetups } from '../../lib/wire/session-setup.ts'
import { forgetStatements } from './tenant-unit.ts'

/** Connections that have run SQL of an application since they were last cleaned. */
export const dirtyConnections = new WeakSet<pg.ClientBase>()

/** Does the same as DISCARD ALL, which would need a message and a round trip of its own. */
const DISCARD_ALL = [
  'CLOSE ALL',
  'SET SESSION AUTHORIZATION DEFAULT',
  'RESET ALL',
  'DEALLOCATE ALL',
  'UNLISTEN *',
  'SELECT pg_catalog.pg_advisory_unlock_all()',
  'DISCARD PLANS',
  'DISCARD TEMP',
  'DISCARD SEQUENCES',
].join('; ')

/** Call before SQL of an application runs on a connection. */
export function markDirty(client: pg.ClientBase): void {
  dirtyConnections.add(client)
  // Behind a pooler, SQL of another request may have prepared other statements under our names; see `cleanConnection`.
  const setup = sessionSetups.get(client)
  if (setup !== undefined) setup.names.keepsNames = false
}

/**
 * Removes what SQL of an application may have left in the session: settings, statements prepared under our names, plans made
 * under its settings, temporary objects, cursors, locks, LISTEN, the seed of random(). Settings go back to the values that
 * were requested when the connection was opened.
 *
 * Behind a pooler the next message may run in another session, so this function can clean nothing there. Instead, each transaction
 * sends its settings, statements get no names, and the pooler must reset the rest of a session.
 * @returns false if the connection must not be used again
 */
export async function cleanConnection(client: pg.ClientBase): Promise<boolean> {
  dirtyConnections.delete(client)
  if (isPooled(client)) return true
  // In an open transaction these statements would be rolled back with it.
  if ((client as pg.Client).getTransactionStatus() !== 'I') return false
  const { error } = await sendCommand(client, `${DISCARD_ALL}; SELECT pg_catalog.setseed(${randomSeed()})`)
  forgetStatements(client)
  return error === undefined && (client as pg.Client).getTransactionStatus() === 'I'
}

/** Without a new seed, SQL that has set the seed could predict random() in the next request. */
function randomSeed(): number {
  return randomBytes(4).readUInt32BE() / 0x1_0000_0000
}
