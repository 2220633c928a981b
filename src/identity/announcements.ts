import { type AuditRecord, recordAudit } from '../catalog/audit.ts'
import { type CatalogChange, recordChange, recordChanges } from '../catalog/changes.ts'
import type { CatalogStore } from '../catalog/store.ts'

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
  /** Called with the changes just made, so that this process need not wait for its own news. */
  readonly apply: (change: CatalogChange) => void
}

/**
 * Tells the catalog what was changed in a tenant's own database: the audit log, and the replicas. It cannot be done in the
 * same transaction, so it comes right after; where it fails the caller is told, and may repeat the whole.
 */
export class Announcements {
  readonly #options: AnnouncementsOptions

  constructor(options: AnnouncementsOptions) {
    this.#options = options
  }

  /** @throws PublicError CATALOG_UNAVAILABLE */
  async publish({ voided = [], rolesChanged = false, ...record }: Announcement): Promise<void> {
    const { store, apply } = this.#options
    const { tenantId } = record
    const changes = await store.transaction(async (tx) => {
      await recordAudit(tx, record)
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
      const subjects = voided.map(({ id, generation }) => `${id}:${generation}`)
      const numbers = await recordChanges(tx, { kind: 'tokens', tenantId }, subjects)
      const tokens = subjects.map((subjectId, i) => ({ seq: numbers[i] ?? 0, subjectId }))
      return [...made, ...tokens.map((change) => ({ kind: 'tokens' as const, tenantId, ...change }))]
    })
    for (const change of changes) apply(change)
  }
}
