import { type AuditRecord, recordAudit } from '../../catalog/audit/entries.ts'
import { isAboutPeople, keyOf } from '../../catalog/audit/persons.ts'
import type { AuditTrail } from '../../catalog/audit/trail.ts'
import { type CatalogChange, recordChange, recordChanges } from '../../catalog/changes/follower.ts'
import type { CatalogStore } from '../../catalog/store.ts'
import type { Vault } from '../../catalog/vault.ts'
import { fail, isOutcomeUnknown, PublicError } from '../../errors.ts'
import { type Revocations, subjectIdOf } from '../callers/revocations.ts'

/** A change in a tenant database that is announced in the catalog. */
export interface Announcement extends AuditRecord {
  readonly tenantId: string
  /** Users whose tokens of lower generations are revoked. */
  readonly voided?: readonly { readonly id: string; readonly generation: number }[]
  /** True if the change touched what roles permit. */
  readonly rolesChanged?: boolean
}

export interface AnnouncementsOptions {
  readonly store: CatalogStore
  /** Seals the personal data in the audit log. */
  readonly vault: Pick<Vault, 'dataKey'>
  /** Writes a record later if the announcement failed. */
  readonly auditTrail: Pick<AuditTrail, 'note'>
  /** The announcements of all replicas. */
  readonly announced: Pick<Revocations, 'lowestOf' | 'lowestOfTenant'>
  /** Applies a new change in this process at once. */
  readonly apply: (change: CatalogChange) => void
}

const MADE_BUT_NOT_ANNOUNCED =
  'The change was made, and the audit log will say so, but the other replicas could not be told. Repeat the request, unless it created something.'

/**
 * Announces a change of a tenant database in the catalog: in the audit log, and in the change log for the replicas. The two
 * databases cannot share a transaction, so the announcement comes right after the change. If it fails, the caller gets an error
 * and may repeat the request. The audit record is then written later, with a mark, because the change itself was made.
 */
export class Announcements {
  readonly #options: AnnouncementsOptions

  constructor(options: AnnouncementsOptions) {
    this.#options = options
  }

  /**
   * @returns the number of the last change that replicas have to apply, to wait for. Null if there is none.
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  async publish(announcement: Announcement): Promise<number | null> {
    const changes = await this.#record(announcement).catch((error: unknown) => {
      // The first record may have been written in spite of the error. Two records are better than none.
      this.#options.auditTrail.note(unannounced(announcement))
      throw notAnnounced(error)
    })
    for (const change of changes) this.#options.apply(change)
    return changes.at(-1)?.seq ?? null
  }

  /**
   * The lowest valid generation of a user, as announced. The user's row has this generation or a higher one, unless the tenant
   * database has lost changes. New generations must be above this one.
   */
  lowestOf(tenantId: string, userId: string): number {
    return this.#options.announced.lowestOf(tenantId, userId)
  }

  /** As `lowestOf`, for every user of the tenant with an announcement. */
  lowestOfTenant(tenantId: string): ReadonlyMap<string, number> {
    return this.#options.announced.lowestOfTenant(tenantId)
  }

  async #record({ voided = [], rolesChanged = false, ...record }: Announcement): Promise<CatalogChange[]> {
    const { tenantId } = record
    const { store, vault } = this.#options
    // Before the transaction: the first use of a key takes a connection of its own.
    const key = isAboutPeople(record.action) ? await keyOf(vault, tenantId) : undefined
    return store.transaction(async (tx) => {
      await recordAudit(tx, record, key)
      const made: CatalogChange[] = []
      if (rolesChanged) {
        made.push({
          kind: 'role',
          tenantId,
          subjectId: null,
          seq: await recordChange(tx, { kind: 'role', tenantId }),
        })
      }
      // As `voidTokens` writes them, but all at once: a role may have thousands of holders.
      const subjects = voided.map(subjectIdOf)
      const numbers = await recordChanges(tx, { kind: 'tokens', tenantId }, subjects)
      const tokens = subjects.map((subjectId, i) => ({ seq: numbers[i] ?? 0, subjectId }))
      return [...made, ...tokens.map((change) => ({ kind: 'tokens' as const, tenantId, ...change }))]
    })
  }
}

/** The change was made. It may be unknown whether the other replicas learned of it; a second request announces it again. */
function notAnnounced(error: unknown): unknown {
  if (!(error instanceof PublicError)) return error
  return fail(isOutcomeUnknown(error) ? 'CATALOG_UNAVAILABLE' : error.code, {
    ...error.extra,
    detail: MADE_BUT_NOT_ANNOUNCED,
  })
}

/** The record that is written later. The audit trail merges records with the same `after`, so `after` names the user or role. */
function unannounced({ actor, action, tenantId, before, after }: Announcement): AuditRecord {
  const { userId, roleId } = { ...before, ...after }
  const about = { ...(userId !== undefined && { userId }), ...(roleId !== undefined && { roleId }) }
  const marked = { ...about, ...after, announced: false }
  return { actor, action, tenantId, ...(before && { before }), after: marked }
}
