import { type DatabaseEntry, identityOf } from '../catalog/database-entry.ts'
import type { DatabaseRegistry } from '../catalog/databases.ts'
import { assertIdentity } from '../lib/database-identity.ts'
import type { PhysicalIdentity } from '../lib/pg.ts'
import type { Migration } from '../migrations/files.ts'
import type { AddressBook } from '../pools/addresses.ts'
import { NoAdmissionError, withAdminConnection } from '../pools/admin-connection.ts'
import type { ConnectionBudget } from '../pools/budget.ts'
import { CHECK_ANSWER_BYTES, checkDatabase, checkResidence } from './checks.ts'
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
  /** A database was asked that is not the one that was validated; `isNews` is false if the round before said so too. */
  readonly onMismatch: (mismatch: { tenantId: string; databaseId: string; isNews: boolean }) => void
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
    const { registry, log } = this.#options
    try {
      await this.#ask(entry)
      const status = await (entry.status === 'inactive'
        ? registry.reactivate(entry)
        : registry.recordHealth(entry, 'ok'))
      this.#tell(entry, status)
    } catch (error) {
      if (error instanceof NoAdmissionError) return
      const code = classify(error)
      const { tenantId, id: databaseId } = entry
      log.warn({ tenantId, databaseId, code, err: error }, 'database does not answer')
      if (code === 'IDENTITY_MISMATCH') {
        this.#options.onMismatch({ tenantId, databaseId, isNews: entry.lastErrorCode !== code })
      }
      this.#tell(entry, await registry.recordHealth(entry, { code }).catch(() => null))
    }
  }

  /**
   * Resolves if the database answers and is still the one it was: by its stamp and its identity (a copy has the stamp), and
   * where it was inactive in every way.
   */
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
        // Before the identity: whose database it is says more than that it is another.
        const residence = await checkResidence(client, tenantId)
        await assertIdentity(client, identityOf(entry))
        if (entry.status !== 'active') await checkDatabase(client, options)
        // A home has its tenant's stamp; what has none has lost its rows.
        const isHome = !entry.moveRequired
        if (isHome && residence === null) throw new CheckFailure('UNKNOWN', new Error('the stamp is gone'))
      })
    } catch (error) {
      throw signal.aborted ? new CheckFailure('CONNECTION_TIMEOUT', error) : error
    }
  }

  #tell(entry: DatabaseEntry, status: string | null): void {
    if (status !== null && status !== entry.status) this.#options.onTransition(entry.status, status)
  }
}
