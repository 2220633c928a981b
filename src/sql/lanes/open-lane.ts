import type pg from 'pg'
import { type SessionSetting, settingColumns } from '../../lib/postgres/session-settings.ts'
import { takeOver } from '../../lib/wire/take-over.ts'
import { CHECK_NAME, LANE_CHECK } from '../wire/unit-writer.ts'
import { Lane } from './lane.ts'

/**
 * What a slow statement may cost the units behind it. It then runs again on a connection of its own. The limit for locks is
 * shorter, because PostgreSQL would report an equal one as the statement's: a statement is not slow because a row was locked.
 */
const LIMITS: readonly SessionSetting[] = [
  { name: 'statement_timeout', value: '20ms' },
  { name: 'lock_timeout', value: '15ms' },
]

/** Units by pg may have prepared statements on this connection, under the names that the lane uses. */
const SETUP = [
  'DEALLOCATE ALL',
  `PREPARE "${CHECK_NAME}" AS ${LANE_CHECK}`,
  `SELECT ${settingColumns(LIMITS, 'session')}`,
].join('; ')

/** Makes an open connection a lane. pg does not read its socket until the lane is over. */
export async function openLane(client: pg.ClientBase, maxAnswerBytes?: number): Promise<Lane> {
  const begunAt = performance.now()
  await client.query(SETUP)
  return new Lane(takeOver(client), performance.now() - begunAt, maxAnswerBytes)
}
