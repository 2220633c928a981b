import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { isPooled } from '../../lib/postgres/database-identity.ts'
import { dressingOf } from '../../lib/wire/dressing.ts'
import { sendCommand } from '../../lib/wire/send-command.ts'
import { forgetStatements } from './tenant-unit.ts'

/** Connections on which SQL of an application has run since they were cleaned. */
const soiled = new WeakSet<pg.ClientBase>()

/** What DISCARD ALL does, which would take a message, and a round trip, of its own. */
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

/** To be called before SQL of an application runs on a connection. */
export function soil(client: pg.ClientBase): void {
  soiled.add(client)
  // Behind a pooler the names of statements may be another request's work; see `cleanConnection`.
  const dressing = dressingOf(client)
  if (dressing !== undefined) dressing.names.keepsNames = false
}

export function isSoiled(client: pg.ClientBase): boolean {
  return soiled.has(client)
}

/**
 * Takes away what SQL of an application may have left in the session: settings, statements prepared under our names, plans made
 * under its settings, temporary objects, cursors, locks, LISTEN, the seed of random(). What was asked for when the
 * connection was opened is what settings fall back to.
 *
 * Behind a pooler the next message may meet another session, so nothing can be cleaned there: settings travel with each
 * transaction, no names are given to statements, and for the rest the pooler must reset its servers.
 * @returns false where the connection must serve nobody any more
 */
export async function cleanConnection(client: pg.ClientBase): Promise<boolean> {
  soiled.delete(client)
  if (isPooled(client)) return true
  // In a block that was left open the same statements would do nothing for good.
  if ((client as pg.Client).getTransactionStatus() !== 'I') return false
  const { error } = await sendCommand(client, `${DISCARD_ALL}; SELECT pg_catalog.setseed(${randomSeed()})`)
  forgetStatements(client)
  return error === undefined && (client as pg.Client).getTransactionStatus() === 'I'
}

/** Who chose the seed knows what random() will say. */
function randomSeed(): number {
  return randomBytes(4).readUInt32BE() / 0x1_0000_0000
}
