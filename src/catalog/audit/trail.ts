import type { DataKey } from '../../crypto/keyring.ts'
import { PublicError } from '../../errors.ts'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { fromNow } from '../moments.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import type { Vault } from '../vault.ts'
import { type AuditRecord, insertAudit, type PreparedRecord, prepareRecord, systemActor } from './entries.ts'
import { isAboutPeople, keyOf, personKeyOwner } from './persons.ts'

export interface AuditTrailOptions {
  readonly store: CatalogStore
  /** Seals the personal fields of records. */
  readonly vault: Pick<Vault, 'dataKey'>
  readonly log: { warn(fields: object, message: string): void }
  /** How long events are collected before they are written. Milliseconds. */
  readonly gatherMs?: number
  /** How many different events are kept while the catalog is unavailable. More are only counted. */
  readonly max?: number
  readonly clock?: Clock
}

interface Gathered {
  readonly record: AuditRecord
  /** By the monotonic clock. The catalog's clock dates the audit log, so only the age of the note is sent. */
  readonly notedAt: number
  count: number
}

const GATHER_MS = 250
const RETRY_MS = 1_000
const BATCH = 200

/**
 * Records events that do not change the catalog: logins, refusals, acting for others. A request only adds a note to memory. Equal
 * notes within `gatherMs` become one row with a count, so that refused requests cannot flood the log. While the catalog is
 * unavailable the notes wait. A killed process loses the notes of its last quarter of a second.
 */
export class AuditTrail {
  readonly #options: Required<AuditTrailOptions>
  #gathered = new Map<string, Gathered>()
  #dropped = 0
  #timer: NodeJS.Timeout | null = null
  #flushing: Promise<void> | null = null

  constructor(options: AuditTrailOptions) {
    this.#options = { gatherMs: GATHER_MS, max: 10_000, clock: systemClock, ...options }
  }

  /** Adds a note. Never waits and never throws. */
  note(record: AuditRecord): void {
    const key = groupOf(record)
    const known = this.#gathered.get(key)
    if (known !== undefined) known.count += 1
    else if (this.#gathered.size >= this.#options.max) this.#dropped += 1
    else this.#gathered.set(key, { record, notedAt: this.#now(), count: 1 })
    this.#schedule(this.#options.gatherMs)
  }

  /** Writes all notes. If the catalog is unavailable it keeps them and resolves too. */
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
    // Later notes go to a new map, so that a count does not change after it was written.
    this.#gathered = new Map()
    this.#dropped = 0
    const waiting = [...noted, ...(dropped > 0 ? [this.#droppedNote(dropped)] : [])]
    for (let from = 0; from < waiting.length; from += BATCH) {
      try {
        await this.#insert(await this.#entriesOf(waiting.slice(from, from + BATCH)))
      } catch (err) {
        this.#options.log.warn({ err, waiting: waiting.length - from }, 'audit events wait for the catalog')
        this.#keep(noted.slice(from), dropped)
        return
      }
    }
  }

  /** An event that the catalog rejects must not block the others. It is logged and counted, and the rest is written. */
  async #insert(entries: PreparedRecord[]): Promise<void> {
    const [first] = entries
    if (first === undefined) return
    try {
      await this.#put(entries)
    } catch (err) {
      if (err instanceof PublicError) throw err
      if (entries.length === 1) return this.#drop(first.row, err)
      const middle = Math.ceil(entries.length / 2)
      await this.#insert(entries.slice(0, middle))
      await this.#insert(entries.slice(middle))
    }
  }

  /** One statement, unless personal fields must be stored or deleted together with the rows. */
  #put(entries: readonly PreparedRecord[]): Promise<void> {
    const { store } = this.#options
    const isOneStatement = entries.every(({ content }) => content.person === null && content.deleted === null)
    return isOneStatement
      ? catalogErrors(insertAudit(store.db, entries))
      : store.transaction((tx) => insertAudit(tx, entries))
  }

  #drop({ action, tenantId }: Pick<PreparedRecord['row'], 'action' | 'tenantId'>, err: unknown): void {
    this.#options.log.warn({ err, action, tenantId }, 'audit event rejected')
    this.#dropped += 1
    this.#schedule(this.#options.gatherMs)
  }

  /** @throws PublicError CATALOG_UNAVAILABLE if a key cannot be read */
  async #entriesOf(noted: readonly Gathered[]): Promise<PreparedRecord[]> {
    const entries: PreparedRecord[] = []
    for (const note of noted) {
      try {
        const key = await this.#keyFor(note.record)
        entries.push(entryOf(note, this.#now(), key))
      } catch (err) {
        if (err instanceof PublicError) throw err
        this.#drop(note.record, err)
      }
    }
    return entries
  }

  async #keyFor(record: AuditRecord): Promise<DataKey | null | undefined> {
    return isAboutPeople(record.action) ? keyOf(this.#options.vault, personKeyOwner(record)) : undefined
  }

  #keep(noted: readonly Gathered[], dropped: number): void {
    this.#dropped += dropped
    for (const { record, notedAt, count } of noted) {
      const key = groupOf(record)
      const newer = this.#gathered.get(key)
      if (newer === undefined && this.#gathered.size >= this.#options.max) this.#dropped += count
      else this.#gathered.set(key, { record, notedAt, count: count + (newer?.count ?? 0) })
    }
    this.#schedule(RETRY_MS)
  }

  #droppedNote(count: number): Gathered {
    const record = { actor: systemActor('audit'), action: 'audit.dropped', tenantId: null, after: { count } }
    return { record, notedAt: this.#now(), count: 1 }
  }

  #now(): number {
    return this.#options.clock.monotonic()
  }
}

/** Built for each attempt to write. The catalog's clock dates it; the process knows only how long ago it was. */
function entryOf(
  { record, notedAt, count }: Gathered,
  now: number,
  key: DataKey | null | undefined,
): PreparedRecord {
  const { row, content } = prepareRecord(record, key)
  const after = count === 1 ? row.after : { ...row.after, count }
  return { row: { ...row, after, at: fromNow(notedAt - now) }, content }
}

/** Notes with the same key become one row. The request id is not part of the key; the row keeps the first one. */
function groupOf({ actor, action, tenantId, after }: AuditRecord): string {
  const { type, id, ownTenantId, address } = actor
  return JSON.stringify([type, id, ownTenantId, address, action, tenantId, after])
}
