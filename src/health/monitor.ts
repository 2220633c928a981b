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
import { RoundAge } from './round-age.ts'

export interface MonitorOptions {
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly migrations: readonly Migration[]
  readonly tables: DeclaredTables
  readonly forbidden: readonly OwnDatabase[]
  readonly log: { warn(fields: object, message: string): void }
  readonly onTransition: (from: string, to: string) => void
  /** Called for each database that answers and is the validated one. */
  readonly onAnswer: (entry: DatabaseEntry) => void
  /** Called if another database than the validated one answers. `isNews` is false if the last round found the same. */
  readonly onMismatch: (mismatch: { tenantId: string; databaseId: string; isNews: boolean }) => void
}

const PING_TIMEOUT_MS = 3_000
const ADMISSION_TIMEOUT_MS = 1_000
const CONCURRENCY = 8
const LEASE_MS = 15_000

/** The server refuses connections, does not answer, or its name is not found. So none of its databases can be reached. */
class ServerUnreachable extends CheckFailure {
  readonly #waitedMs: number

  constructor(code: DatabaseErrorCode, waitedMs: number, cause: unknown) {
    super(code, cause)
    this.#waitedMs = waitedMs
  }

  /** A timeout proves nothing for a check that would have waited longer. */
  appliesTo(timeoutMs: number): boolean {
    return this.code !== 'CONNECTION_TIMEOUT' || timeoutMs <= this.#waitedMs
  }
}

/** The answer of a database. The schema is set only if it was read. */
interface Answered {
  readonly isReadOnly: boolean
  readonly schemaVersion?: SchemaVersion
}

/** The finding of one round for each server (`host:port`): null if the server can be reached. */
type Round = Map<string, Promise<ServerUnreachable | null>>

const SERVER_FAULTS: readonly DatabaseErrorCode[] = ['DNS_FAILED', 'CONNECTION_REFUSED', 'CONNECTION_TIMEOUT']

/**
 * One round checks whether every due database answers, a few at a time. Each check opens a new connection, because open
 * connections of a pool prove nothing about the next one. The replicas agree in the catalog which databases are due and which
 * replica checks them. The round first checks one database of each server. If that server cannot be reached, its other databases
 * count as unreachable without another attempt.
 */
export class HealthMonitor {
  readonly #options: MonitorOptions
  readonly #age = new RoundAge()
  #sweeping: Promise<void> | null = null

  constructor(options: MonitorOptions) {
    this.#options = options
  }

  /** Runs one round. If one is running, waits for it instead. `signal` ends it early. */
  sweep(signal?: AbortSignal): Promise<void> {
    this.#sweeping ??= this.#sweep(signal).finally(() => {
      this.#sweeping = null
    })
    return this.#sweeping
  }

  async #sweep(signal?: AbortSignal): Promise<void> {
    const minAgeMs = this.#age.next()
    const { registry } = this.#options
    const round: Round = new Map()
    const asked = new Set<string>()
    let before: Date | null = null
    for (;;) {
      const entries = await registry.claimDueHealthChecks({ minAgeMs, before }, CONCURRENCY, LEASE_MS)
      // A database is checked only once in a round, even if the round lasts long.
      before ??= claimedAt(entries)
      await Promise.all(entries.map((entry) => this.#check(entry, round)))
      // Databases for which no connection was free are due again when their claims end. They belong to the next round.
      const isOver = entries.every(({ id }) => asked.has(id))
      if (isOver || entries.length < CONCURRENCY || signal?.aborted === true) return
      for (const { id } of entries) asked.add(id)
    }
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
      // The catalog failed, which proves nothing about this database. A later round checks it again.
      log.warn({ tenantId: entry.tenantId, databaseId: entry.id, err }, 'health result not recorded')
    }
  }

  /** Checks the database, unless the first check of its server has found that the server cannot be reached. */
  async #askInTurn(entry: DueCheck, round: Round): Promise<Answered> {
    const server = `${entry.host}:${entry.port}`
    const timeoutMs = connectTimeoutOf(entry)
    // A timeout proves nothing for checks with a longer time limit. The first of them tries again, and the others wait for it.
    for (let latest = round.get(server), seen: typeof latest; latest !== seen; latest = round.get(server)) {
      seen = latest
      const unreachable = await latest
      if (unreachable === null) break
      if (unreachable?.appliesTo(timeoutMs) === true) throw unreachable
    }
    const asked = this.#ask(entry)
    round.set(server, asked.then(none, unreachableOf))
    return asked
  }

  /**
   * Resolves if the database answers and is the validated one, by its stamp and its identity. The stamp alone is not enough, because a
   * copy has it too. An inactive database must pass all checks of a validation.
   */
  async #ask(entry: DueCheck): Promise<Answered> {
    const { addresses, budget, migrations, tables, forbidden } = this.#options
    const connectTimeoutMs = connectTimeoutOf(entry)
    const { password, ...address } = addresses.addressOf(entry)
    let wasHeard = false
    const askPassword = () => {
      wasHeard = true
      return password()
    }
    const deadline = new AbortController()
    const timeLimit = startTimeLimit(() => deadline.abort(), PING_TIMEOUT_MS * 2)
    const { signal } = deadline
    const options = {
      budget,
      limits: { connectTimeoutMs, statementTimeoutMs: PING_TIMEOUT_MS, maxAnswerBytes: CHECK_ANSWER_BYTES },
      admissionTimeoutMs: ADMISSION_TIMEOUT_MS,
      signal,
    }
    try {
      return await withAdminConnection({ ...address, password: askPassword }, options, async (client) => {
        wasHeard = true
        const { tenantId } = entry
        const options = {
          tenantId,
          ...{ migrations, tables, forbidden },
          wasValid: true,
        }
        // Read before the identity, because a stamp of another tenant is a more precise reason than another identity.
        const { hasResidence, isReadOnly } = await readFacts(client)
        const residence = hasResidence ? await readSoleStamp(client, tenantId) : null
        await assertIdentity(client, identityOf(entry))
        const schemaVersion = await this.#schemaOf(client, entry, options)
        // Without a stamp of the same epoch, the database or the catalog was restored, and no request may use the database.
        const isResident = !entry.moveRequired
        if (isResident && residence?.epoch !== entry.tenantEpoch)
          throw new CheckFailure('IDENTITY_AMBIGUOUS', new Error('the stamp is missing or has another epoch'))
        return { isReadOnly, ...(schemaVersion !== undefined && { schemaVersion }) }
      })
    } catch (error) {
      const failure = signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
      throw wasHeard ? failure : serverFaultOf(failure, connectTimeoutMs)
    } finally {
      timeLimit.clear()
    }
  }

  /** Reads the schema if the database may become active again, or if the catalog lacks the version of a lineage. */
  async #schemaOf(
    client: pg.ClientBase,
    { status, schemaVersion }: DueCheck,
    options: CheckOptions,
  ): Promise<SchemaVersion | undefined> {
    if (status !== 'active') return (await checkDatabase(client, options)).schemaVersion
    return schemaVersion === null ? readSchemaVersion(client, options.migrations) : undefined
  }
}

/** The time of the claims by the catalog's clock, which also dates the checks. */
function claimedAt([entry]: readonly DatabaseEntry[]): Date | null {
  const until = entry?.claimedUntil ?? null
  return until === null ? null : new Date(until.getTime() - LEASE_MS)
}

function connectTimeoutOf(entry: DatabaseEntry): number {
  return Math.min(entry.connectionTimeoutSeconds * 1_000, PING_TIMEOUT_MS)
}

/** Classifies the error of a connection attempt without an answer: a fault of the server, or of this database only. */
function serverFaultOf(error: unknown, waitedMs: number): unknown {
  const state = databaseError(error)?.code
  const code = classify(error)
  const isServerFault = SERVER_FAULTS.includes(code) && (state === undefined || state === '57P03')
  return isServerFault ? new ServerUnreachable(code, waitedMs, error) : error
}

function unreachableOf(error: unknown): ServerUnreachable | null {
  return error instanceof ServerUnreachable ? error : null
}

function none(): null {
  return null
}
