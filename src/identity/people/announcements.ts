import { type AuditRecord, recordAudit } from '../../catalog/audit/entries.ts'
import { isAboutPeople, keyOf } from '../../catalog/audit/persons.ts'
import type { AuditTrail } from '../../catalog/audit/trail.ts'
import { type CatalogChange, recordChange, recordChanges } from '../../catalog/changes/follower.ts'
import type { CatalogStore } from '../../catalog/store.ts'
import type { Vault } from '../../catalog/vault.ts'
import { fail, isOutcomeUnknown, PublicError } from '../../errors.ts'
import { type Revocations, subjectIdOf } from '../callers/revocations.ts'

/** What the catalog is to know of a change in a tenant's own database. */
export interface Announcement extends AuditRecord {
  readonly tenantId: string
  /** Users whose tokens of before their present generation are void. */
  readonly voided?: readonly { readonly id: string; readonly generation: number }[]
  /** Whether roles mean something else than before. */
  readonly rolesChanged?: boolean
}

export interface AnnouncementsOptions {
  readonly store: CatalogStore
  /** Seals what the audit log keeps apart of people. */
  readonly vault: Pick<Vault, 'dataKey'>
  /** Where a record waits that could not be written with its announcement. */
  readonly auditTrail: Pick<AuditTrail, 'note'>
  /** What was announced, by whatever process. */
  readonly announced: Pick<Revocations, 'lowestOf' | 'lowestOfTenant'>
  /** Called with the changes just made, so that this process need not wait for its own news. */
  readonly apply: (change: CatalogChange) => void
}

const STANDS =
  'The change was made, and the audit log will say so, but the rest of the service could not be told. Repeat it, unless it made something.'

/**
 * Tells the catalog what was changed in a tenant's own database: the audit log, and the replicas. It cannot be done in the
 * same transaction, so it comes right after; where it fails the caller is told, and may repeat the whole. The audit record
 * is written then as well, later and marked: what was made cannot be made again, and stands there whatever the caller does.
 */
export class Announcements {
  readonly #options: AnnouncementsOptions

  constructor(options: AnnouncementsOptions) {
    this.#options = options
  }

  /**
   * @returns the number of the last change that others have to apply, to wait for; null where there is none.
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  async publish(announcement: Announcement): Promise<number | null> {
    const changes = await this.#record(announcement).catch((error: unknown) => {
      // Written twice where the first record may be there all the same: better than not at all.
      this.#options.auditTrail.note(unannounced(announcement))
      throw standing(error)
    })
    for (const change of changes) this.#options.apply(change)
    return changes.at(-1)?.seq ?? null
  }

  /**
   * The first generation of a user whose tokens hold, as it was announced. The user's row says the same or more, unless the
   * database has lost changes: then new generations have to begin above this one.
   */
  lowestOf(tenantId: string, userId: string): number {
    return this.#options.announced.lowestOf(tenantId, userId)
  }

  /** As `lowestOf`, for every user of the tenant of whom one was announced. */
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

/** That the change was made is known for certain; whether others were told of it may not be, and a repetition tells them. */
function standing(error: unknown): unknown {
  if (!(error instanceof PublicError)) return error
  return fail(isOutcomeUnknown(error) ? 'CATALOG_UNAVAILABLE' : error.code, {
    ...error.extra,
    detail: STANDS,
  })
}

/** The record that is written later. The trail makes one row of what has the same `after`: so that names whom it is about. */
function unannounced({ actor, action, tenantId, before, after }: Announcement): AuditRecord {
  const { userId, roleId } = { ...before, ...after }
  const about = { ...(userId !== undefined && { userId }), ...(roleId !== undefined && { roleId }) }
  const marked = { ...about, ...after, announced: false }
  return { actor, action, tenantId, ...(before && { before }), after: marked }
}
