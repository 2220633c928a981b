import type pg from 'pg'
import type { DueCheck } from '../catalog/databases/claims.ts'
import { type DatabaseEntry, type DatabaseErrorCode, identityOf } from '../catalog/databases/entry.ts'
import type { DatabaseRegistry } from '../catalog/databases/registry.ts'
import type { SchemaVersion } from '../catalog/schema.ts'
import {
  CHECK_ANSWER_BYTES,
  type CheckOptions,
  checkDatabase,
  readFacts,
  readSchemaVersion,
  readSoleStamp,
} from '../databases/checks.ts'
import { CheckFailure, classify } from '../databases/failures.ts'
import { assertIdentity, type OwnDatabase } from '../lib/postgres/database-identity.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import { startTimeLimit } from '../lib/time-limit.ts'
import type { Migration } from '../migrations/files.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { NoAdmissionError, withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import type { DeclaredTables } from '../residence/isolation.ts'

export interface MonitorOptions {
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly migrations: readonly Migration[]
  readonly tables: DeclaredTables
  readonly forbidden: readonly OwnDatabase[]
  readonly log: { warn(fields: object, message: string): void }
  readonly onTransition: (from: string, to: string) => void
  /** Told of each database that answers and is what it should be. */
  readonly onAnswer: (entry: DatabaseEntry) => void
  /** A database was asked that is not the one that was validated; `isNews` is false if the round before said so too. */
  readonly onMismatch: (mismatch: { tenantId: string; databaseId: string; isNews: boolean }) => void
}

const PING_TIMEOUT_MS = 3_000
const ADMISSION_TIMEOUT_MS = 1_000
const CONCURRENCY = 8
const LEASE_MS = 15_000
/** Gateways that start together begin their first rounds together, and one moment of a database is not to count for each. */
const FIRST_AGE_MS = 2_000

/** A server's databases all are, if one of them is: it refuses, is silent, or its name is not found. */
class ServerOutOfReach extends CheckFailure {
  readonly #waitedMs: number

  constructor(code: DatabaseErrorCode, waitedMs: number, cause: unknown) {
    super(code, cause)
    this.#waitedMs = waitedMs
  }

  /** Not for whoever would have had more patience. */
  isTrueFor(patienceMs: number): boolean {
    return this.code !== 'CONNECTION_TIMEOUT' || patienceMs <= this.#waitedMs
  }
}

/** What a database that answers has said. The schema only where it was looked at. */
interface Answered {
  readonly isReadOnly: boolean
  readonly schemaVersion?: SchemaVersion
}

/** What was found of each server (`host:port`) in one round, or is being found: null if it can be reached. */
type Round = Map<string, Promise<ServerOutOfReach | null>>

const SERVERS_OWN: readonly DatabaseErrorCode[] = ['DNS_FAILED', 'CONNECTION_REFUSED', 'CONNECTION_TIMEOUT']

/**
 * One round asks every database that is due whether it answers, a few at a time, on connections of their own: a pool of
 * open connections says nothing about the next one. Which databases are due, and who asks, is agreed in the catalog.
 * Of a server's databases one is asked first: if the server is out of reach, so are the others, and nobody knocks again.
 */
export class HealthMonitor {
  readonly #options: MonitorOptions
  #lastSweepAt: number | null = null
  #sweeping: Promise<void> | null = null

  constructor(options: MonitorOptions) {
    this.#options = options
  }

  /** Runs one round; a round that is still under way is not begun a second time. `signal` ends it early. */
  sweep(signal?: AbortSignal): Promise<void> {
    this.#sweeping ??= this.#sweep(signal).finally(() => {
      this.#sweeping = null
    })
    return this.#sweeping
  }

  async #sweep(signal?: AbortSignal): Promise<void> {
    const minAgeMs = this.#minAge()
    const { registry } = this.#options
    const round: Round = new Map()
    const asked = new Set<string>()
    let before: Date | null = null
    for (;;) {
      const entries = await registry.claimDueHealthChecks({ minAgeMs, before }, CONCURRENCY, LEASE_MS)
      // However long it lasts, and also where there was none before: what was asked in a round is not due again in it.
      before ??= claimedAt(entries)
      await Promise.all(entries.map((entry) => this.#check(entry, round)))
      // Those for whom there was no connection come back when their claims have lapsed; they are the next round's.
      const isOver = entries.every(({ id }) => asked.has(id))
      if (isOver || entries.length < CONCURRENCY || signal?.aborted === true) return
      for (const { id } of entries) asked.add(id)
    }
  }

  /** Half a round: whoever was asked in this round, by us or another replica, is not asked twice. Milliseconds. */
  #minAge(): number {
    const now = performance.now()
    const ageMs = this.#lastSweepAt === null ? FIRST_AGE_MS : Math.floor((now - this.#lastSweepAt) / 2)
    this.#lastSweepAt = now
    return ageMs
  }

  async #check(entry: DueCheck, round: Round): Promise<void> {
    const { tenantId, id: databaseId } = entry
    let code: DatabaseErrorCode | null = null
    let hasAnswered = false
    let found: SchemaVersion | undefined
    try {
      const { isReadOnly, schemaVersion } = await this.#askInTurn(entry, round)
      hasAnswered = true
      found = schemaVersion
      this.#options.onAnswer(entry)
      if (isReadOnly) code = this.#noteReadOnly(entry)
    } catch (err) {
      if (err instanceof NoAdmissionError) return
      code = classify(err)
      this.#options.log.warn({ tenantId, databaseId, code, err }, 'database does not answer')
      if (code === 'IDENTITY_MISMATCH') {
        this.#options.onMismatch({ tenantId, databaseId, isNews: entry.lastErrorCode !== code })
      }
    }
    await this.#record(entry, { code, hasAnswered, found })
  }

  #noteReadOnly({ tenantId, id: databaseId, lastErrorCode }: DatabaseEntry): DatabaseErrorCode {
    const code = 'READ_ONLY'
    if (lastErrorCode !== code)
      this.#options.log.warn({ tenantId, databaseId, code }, 'database is read-only')
    return code
  }

  async #record(
    entry: DatabaseEntry,
    {
      code,
      hasAnswered,
      found,
    }: {
      code: DatabaseErrorCode | null
      hasAnswered: boolean
      found: SchemaVersion | undefined
    },
  ): Promise<void> {
    const { registry, log } = this.#options
    try {
      const isBack = code === null && entry.status === 'inactive' && found !== undefined
      const result =
        code === null
          ? { ...(found !== undefined && { schemaVersion: found }) }
          : { code, ...(code === 'READ_ONLY' && !hasAnswered && { isUnproven: true }) }
      const status = await (isBack ? registry.reactivate(entry, found) : registry.recordHealth(entry, result))
      if (status !== null && status !== entry.status) this.#options.onTransition(entry.status, status)
    } catch (err) {
      // The catalog's trouble, which says nothing of this database. Where it took no note, a later round asks again.
      log.warn({ tenantId: entry.tenantId, databaseId: entry.id, err }, 'health not recorded')
    }
  }

  /** Asks, unless who was asked first has found the server out of reach. */
  async #askInTurn(entry: DueCheck, round: Round): Promise<Answered> {
    const server = `${entry.host}:${entry.port}`
    const patienceMs = connectTimeoutOf(entry)
    // Of those whom an answer leaves in doubt the first asks again, and the others wait once more.
    for (let told = round.get(server), heeded: typeof told; told !== heeded; told = round.get(server)) {
      heeded = told
      const outOfReach = await told
      if (outOfReach === null) break
      if (outOfReach?.isTrueFor(patienceMs) === true) throw outOfReach
    }
    const asked = this.#ask(entry)
    round.set(server, asked.then(none, outOfReachOf))
    return asked
  }

  /**
   * Resolves if the database answers and is still the one it was: by its stamp and its identity (a copy has the stamp), and
   * where it was inactive in every way.
   */
  async #ask(entry: DueCheck): Promise<Answered> {
    const { addresses, budget, migrations, tables, forbidden } = this.#options
    const connectTimeoutMs = connectTimeoutOf(entry)
    const { password, ...place } = addresses.addressOf(entry)
    let wasHeard = false
    const askPassword = () => {
      wasHeard = true
      return password()
    }
    const deadline = new AbortController()
    const patience = startTimeLimit(() => deadline.abort(), PING_TIMEOUT_MS * 2)
    const { signal } = deadline
    const options = {
      budget,
      limits: { connectTimeoutMs, statementTimeoutMs: PING_TIMEOUT_MS, maxAnswerBytes: CHECK_ANSWER_BYTES },
      admissionTimeoutMs: ADMISSION_TIMEOUT_MS,
      signal,
    }
    try {
      return await withAdminConnection({ ...place, password: askPassword }, options, async (client) => {
        wasHeard = true
        const { tenantId } = entry
        const options = {
          tenantId,
          ...{ migrations, tables, forbidden },
          wasValid: true,
        }
        // Before the identity: whose database it is says more than that it is another.
        const { hasResidence, isReadOnly } = await readFacts(client)
        const residence = hasResidence ? await readSoleStamp(client, tenantId) : null
        await assertIdentity(client, identityOf(entry))
        const schemaVersion = await this.#schemaOf(client, entry, options)
        // Where a home has no stamp, or one of another epoch, it or the catalog has been restored: nobody is let in there.
        const isHome = !entry.moveRequired
        if (isHome && residence?.epoch !== entry.tenantEpoch)
          throw new CheckFailure('IDENTITY_AMBIGUOUS', new Error('the stamp is gone, or of another epoch'))
        return { isReadOnly, ...(schemaVersion !== undefined && { schemaVersion }) }
      })
    } catch (error) {
      const failure = signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
      throw wasHeard ? failure : blameServer(failure, connectTimeoutMs)
    } finally {
      patience.clear()
    }
  }

  /** Looked at where the database is to come back, and where it is not known: a release before did not tell lineages apart. */
  async #schemaOf(
    client: pg.ClientBase,
    { status, schemaVersion }: DueCheck,
    options: CheckOptions,
  ): Promise<SchemaVersion | undefined> {
    if (status !== 'active') return (await checkDatabase(client, options)).schemaVersion
    return schemaVersion === null ? readSchemaVersion(client, options.migrations) : undefined
  }
}

/** By the catalog's clock, which also writes down when each was checked. */
function claimedAt([entry]: readonly DatabaseEntry[]): Date | null {
  const until = entry?.claimedUntil ?? null
  return until === null ? null : new Date(until.getTime() - LEASE_MS)
}

function connectTimeoutOf(entry: DatabaseEntry): number {
  return Math.min(entry.connectionTimeoutSeconds * 1_000, PING_TIMEOUT_MS)
}

/** What befell a connection to which the server had said nothing yet, as the server's fault if it is that. */
function blameServer(error: unknown, waitedMs: number): unknown {
  const state = databaseError(error)?.code
  const code = classify(error)
  const isServers = SERVERS_OWN.includes(code) && (state === undefined || state === '57P03')
  return isServers ? new ServerOutOfReach(code, waitedMs, error) : error
}

function outOfReachOf(error: unknown): ServerOutOfReach | null {
  return error instanceof ServerOutOfReach ? error : null
}

function none(): null {
  return null
}
