import { PublicError } from '../errors.ts'
import { type AuditRecord, auditValues, systemActor } from './audit.ts'
import { auditLog } from './schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

export interface AuditTrailOptions {
  readonly store: CatalogStore
  readonly log: { warn(fields: object, message: string): void }
  /** How long events are gathered before they are written. Milliseconds. */
  readonly gatherMs?: number
  /** Different events kept while the catalog cannot be reached; what comes beyond is only counted. */
  readonly max?: number
}

type AuditInsert = typeof auditLog.$inferInsert

interface Gathered {
  readonly record: AuditRecord
  readonly at: Date
  count: number
}

const GATHER_MS = 250
const RETRY_MS = 1_000
const BATCH = 200

/**
 * Writes what happened without a change of the catalog: logins, refusals, acting for others. A request only takes a note;
 * notes that say the same within a moment become one row with a count, so that nobody floods the log by being refused.
 * While the catalog is away the notes wait. A process that is killed loses those of its last quarter of a second.
 */
export class AuditTrail {
  readonly #options: Required<AuditTrailOptions>
  #gathered = new Map<string, Gathered>()
  #dropped = 0
  #timer: NodeJS.Timeout | null = null
  #flushing: Promise<void> | null = null

  constructor(options: AuditTrailOptions) {
    this.#options = { gatherMs: GATHER_MS, max: 10_000, ...options }
  }

  /** Takes a note. Never waits and never throws. */
  note(record: AuditRecord): void {
    const key = keyOf(record)
    const known = this.#gathered.get(key)
    if (known !== undefined) known.count += 1
    else if (this.#gathered.size >= this.#options.max) this.#dropped += 1
    else this.#gathered.set(key, { record, at: new Date(), count: 1 })
    this.#schedule(this.#options.gatherMs)
  }

  /** Writes what has been noted up to now. Resolves also when the catalog cannot be reached: then the notes stay. */
  async flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    await this.#flushing
    this.#flushing = this.#write().finally(() => {
      this.#flushing = null
    })
    await this.#flushing
  }

  #schedule(inMs: number): void {
    this.#timer ??= setTimeout(() => void this.flush(), inMs).unref()
  }

  async #write(): Promise<void> {
    const noted = [...this.#gathered.values()]
    const dropped = this.#dropped
    // What is noted from here on begins anew, so that a count is never changed after it was written.
    this.#gathered = new Map()
    this.#dropped = 0
    const rows = [...noted.map(rowOf), ...(dropped > 0 ? [droppedRow(dropped)] : [])]
    for (let from = 0; from < rows.length; from += BATCH) {
      try {
        await this.#insert(rows.slice(from, from + BATCH))
      } catch (err) {
        this.#options.log.warn({ err, waiting: rows.length - from }, 'audit events wait for the catalog')
        this.#keep(noted.slice(from), dropped)
        return
      }
    }
  }

  /** What the catalog does not take for itself must not keep the others from it: it is told in the log, and counted. */
  async #insert(rows: AuditInsert[]): Promise<void> {
    try {
      await catalogErrors(this.#options.store.db.insert(auditLog).values(rows))
    } catch (err) {
      if (err instanceof PublicError) throw err
      const [row] = rows
      if (rows.length !== 1 || row === undefined) {
        const middle = Math.ceil(rows.length / 2)
        await this.#insert(rows.slice(0, middle))
        await this.#insert(rows.slice(middle))
        return
      }
      const { action, tenantId } = row
      this.#options.log.warn({ err, action, tenantId }, 'an audit event was not taken')
      this.#dropped += 1
      this.#schedule(this.#options.gatherMs)
    }
  }

  #keep(noted: readonly Gathered[], dropped: number): void {
    this.#dropped += dropped
    for (const { record, at, count } of noted) {
      const key = keyOf(record)
      const newer = this.#gathered.get(key)
      if (newer === undefined && this.#gathered.size >= this.#options.max) this.#dropped += count
      else this.#gathered.set(key, { record, at, count: count + (newer?.count ?? 0) })
    }
    this.#schedule(RETRY_MS)
  }
}

function rowOf({ record, at, count }: Gathered) {
  const values = auditValues(record)
  return { ...values, at, after: count === 1 ? values.after : { ...values.after, count } }
}

function droppedRow(count: number) {
  const record = { actor: systemActor('audit'), action: 'audit.dropped', tenantId: null, after: { count } }
  return { ...auditValues(record), at: new Date() }
}

/** Request ids differ and do not count: the first is kept. */
function keyOf({ actor, action, tenantId, after }: AuditRecord): string {
  const { type, id, homeTenantId, address } = actor
  return JSON.stringify([type, id, homeTenantId, address, action, tenantId, after])
}
