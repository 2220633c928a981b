import type pg from 'pg'
import type { GuardedClient } from '../../src/lib/postgres/guarded-client.ts'
import { connectClient, type ServerAddress } from '../../src/lib/postgres/pg.ts'
import { takeOver } from '../../src/lib/wire/take-over.ts'
import { Lane } from '../../src/sql/lanes/lane.ts'
import { CHECK_NAME, LANE_CHECK } from '../../src/sql/wire/unit-writer.ts'
import type { WireStatement } from '../../src/sql/wire/wire-statement.ts'
import type { Unanswered } from '../../src/sql/wire/wire-unit.ts'
import { TestUnit } from './wire-world.ts'

const LIMITS = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 }
const clients: GuardedClient[] = []

/** A connection for lanes. Its loss is no error of the test. */
export async function connectGuarded(address: ServerAddress): Promise<GuardedClient> {
  const client = (await connectClient(address, LIMITS)) as GuardedClient
  client.on('error', () => {})
  clients.push(client)
  return client
}

/** Closes all connections of `connectGuarded`. For `afterEach`. */
export function closeClients(): void {
  for (const client of clients.splice(0)) client.destroy()
}

/** A unit of a tenant that was moved in with epoch 1. */
export class AskedUnit extends TestUnit {
  sentAt = 0
  readonly #over = Promise.withResolvers<Unanswered | null>()

  get over(): Promise<Unanswered | null> {
    return this.#over.promise
  }

  override ended(why: Unanswered | null): void {
    super.ended(why)
    this.#over.resolve(why)
  }
}

export interface Question {
  readonly tenantId: string
  readonly statement: WireStatement
  readonly values: readonly unknown[]
}

/** Sends a unit on a lane, which counts its end. */
export function askOn(lane: Lane, question: Question): AskedUnit {
  const unit = new AskedUnit({ ...question })
  lane.send(unit)
  void unit.over.then(() => lane.ended(unit))
  return unit
}

/** A lane with other time limits than `openLane` sets, which a busy machine reaches. Without `limitMs` it has none. */
export async function openPatientLane(client: pg.ClientBase, limitMs = 0): Promise<Lane> {
  await client.query(`
    SET statement_timeout = ${limitMs}; SET lock_timeout = ${limitMs};
    PREPARE "${CHECK_NAME}" AS ${LANE_CHECK}`)
  return new Lane(takeOver(client), 0)
}
