import type { DatabaseEntry, DatabaseErrorCode } from '../catalog/database-entry.ts'
import type { DatabaseRegistry } from '../catalog/databases.ts'
import type { Migration } from '../migrations/files.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { NoAdmissionError, withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { CHECK_ANSWER_BYTES, checkDatabase, checkResidence, type PhysicalIdentity } from './checks.ts'
import { CheckFailure, classify } from './failures.ts'

export interface MonitorOptions {
  readonly registry: DatabaseRegistry
  readonly addresses: AddressBook
  readonly budget: ConnectionBudget
  readonly replicaId: string
  readonly migrations: readonly Migration[]
  readonly forbidden: readonly PhysicalIdentity[]
  readonly log: { warn(fields: object, message: string): void }
  readonly onTransition: (from: string, to: string) => void
}

const PING_TIMEOUT_MS = 3_000
const ADMISSION_TIMEOUT_MS = 1_000
const CONCURRENCY = 8
const LEASE_MS = 15_000

/**
 * One round asks every database that is due whether it answers, a few at a time, on connections of their own: a pool of
 * open connections says nothing about the next one. Which databases are due, and who asks, is agreed in the catalog.
 */
export class HealthMonitor {
  readonly #options: MonitorOptions
  #lastSweepAt: number | null = null
  #sweeping: Promise<void> | null = null

  constructor(options: MonitorOptions) {
    this.#options = options
  }

  /** Runs one round; a round that is still under way is not begun a second time. */
  sweep(): Promise<void> {
    this.#sweeping ??= this.#sweep().finally(() => {
      this.#sweeping = null
    })
    return this.#sweeping
  }

  async #sweep(): Promise<void> {
    const minAgeMs = this.#minAge()
    const { registry, replicaId } = this.#options
    for (;;) {
      const entries = await registry.claimDueHealthChecks(replicaId, minAgeMs, CONCURRENCY, LEASE_MS)
      await Promise.all(entries.map((entry) => this.#check(entry)))
      if (entries.length < CONCURRENCY) return
    }
  }

  /** Half a round: whoever was asked in this round, by us or another replica, is not asked twice. Milliseconds. */
  #minAge(): number {
    const now = performance.now()
    const round = this.#lastSweepAt === null ? 0 : now - this.#lastSweepAt
    this.#lastSweepAt = now
    return Math.floor(round / 2)
  }

  async #check(entry: DatabaseEntry): Promise<void> {
    const { tenantId, id: databaseId } = entry
    let code: DatabaseErrorCode | null = null
    try {
      await this.#ask(entry)
    } catch (err) {
      if (err instanceof NoAdmissionError) return
      code = classify(err)
      this.#options.log.warn({ tenantId, databaseId, code, err }, 'database does not answer')
    }
    await this.#record(entry, code)
  }

  async #record(entry: DatabaseEntry, code: DatabaseErrorCode | null): Promise<void> {
    const { registry, log } = this.#options
    try {
      const isBack = code === null && entry.status === 'inactive'
      const result = code === null ? 'ok' : { code }
      const status = await (isBack ? registry.reactivate(entry) : registry.recordHealth(entry, result))
      if (status !== null && status !== entry.status) this.#options.onTransition(entry.status, status)
    } catch (err) {
      // The catalog's trouble, which says nothing of this database. Where it took no note, a later round asks again.
      log.warn({ tenantId: entry.tenantId, databaseId: entry.id, err }, 'health not recorded')
    }
  }

  /** Resolves if the database answers and is still the one it was: by its stamp, and where it was inactive in every way. */
  async #ask(entry: DatabaseEntry): Promise<void> {
    const { addresses, budget, migrations, forbidden } = this.#options
    const connectTimeoutMs = Math.min(entry.connectionTimeoutSeconds * 1_000, PING_TIMEOUT_MS)
    const signal = AbortSignal.timeout(PING_TIMEOUT_MS * 2)
    const options = {
      budget,
      limits: { connectTimeoutMs, statementTimeoutMs: PING_TIMEOUT_MS, maxAnswerBytes: CHECK_ANSWER_BYTES },
      admissionTimeoutMs: ADMISSION_TIMEOUT_MS,
      signal,
    }
    try {
      await withAdminConnection(addresses.addressOf(entry), options, async (client) => {
        const { tenantId } = entry
        const options = {
          tenantId,
          migrations,
          applyMigrations: false,
          lockTimeoutMs: PING_TIMEOUT_MS,
          forbidden,
        }
        const residence =
          entry.status === 'active'
            ? await checkResidence(client, tenantId)
            : (await checkDatabase(client, options)).residence
        // A home has its tenant's stamp; what has none is another database, or one that lost its rows.
        const isHome = !entry.moveRequired
        if (isHome && residence === null) throw new CheckFailure('UNKNOWN', new Error('the stamp is gone'))
      })
    } catch (error) {
      throw signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
    }
  }
}
