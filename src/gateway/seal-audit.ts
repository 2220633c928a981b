import { sealAnchor } from '../catalog/audit/anchor.ts'
import { sealAudit } from '../catalog/audit/chain.ts'
import { sealFormerPersons } from '../catalog/audit/persons.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Vault } from '../catalog/vault.ts'
import type { Logger } from '../logger.ts'

export interface AuditSealing {
  readonly store: CatalogStore
  readonly vault: Vault
  readonly log: Logger
}

/** Seals the audit log. The log line is evidence outside the database: an attacker who rewrites all rows cannot change it. */
export async function sealAuditLog({ store, vault, log }: AuditSealing): Promise<void> {
  const sealed = await sealAudit(store, vault.service)
  if (sealed !== null) log.info(sealed, 'audit log sealed')
}

/**
 * Seals the personal fields and the chain of an audit log that an older release wrote. The migration to this release could not do so,
 * because it has no keys. Does nothing after the first time.
 */
export async function sealFormerAuditLog({ store, vault, log }: AuditSealing): Promise<void> {
  const persons = await sealFormerPersons(store, vault)
  const anchor = await sealAnchor(store, vault.service)
  if (anchor === null) return
  await sealAuditLog({ store, vault, log })
  if (anchor.firstBreak === null) log.info({ ...anchor, persons }, 'audit log rechained')
  else log.error({ ...anchor, persons }, 'audit log rechained: entries had been changed before')
}
