import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import type { OwnServer } from '../../test/support/second-server.ts'
import { asSuperuser } from '../stage.ts'

const HELD_MS = 250

export interface LockedRows {
  readonly database: string
  readonly table: string
  readonly ids: readonly string[]
}

/** Holds locks on rows, a quarter of a second each time, until it is told to stop. */
export class RowLocks {
  readonly #held: Promise<void>
  #isOver = false

  constructor(server: OwnServer, { database, table, ids }: LockedRows) {
    const hold = (id: string) => asSuperuser(server, database, (client) => this.#hold(client, table, id))
    this.#held = Promise.all(ids.map(hold)).then(() => undefined)
    // The promise is awaited by `release` only.
    this.#held.catch(() => undefined)
  }

  async release(): Promise<void> {
    this.#isOver = true
    await this.#held
  }

  async #hold(client: pg.Client, table: string, id: string): Promise<void> {
    while (!this.#isOver) {
      await client.query('BEGIN')
      await client.query(`SELECT FROM ${table} WHERE id = $1 FOR UPDATE`, [id])
      await sleep(HELD_MS)
      await client.query('COMMIT')
    }
  }
}
