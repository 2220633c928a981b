import { describeDatabase, summarize } from '../../../catalog/databases/entry-view.ts'
import { fail } from '../../../errors.ts'
import type { DatabaseState, TenantRecord } from '../../../operations/operations.ts'

/** A tenant as operators see it. Fields are listed, so that a new column of the table is not shown by accident. */
export function tenantView({ tenant, externalIds, database, encryptionKeyId = null }: TenantRecord) {
  const { id, code, name, status, parentId, placement, authConfig, createdAt, updatedAt } = tenant
  return {
    id,
    code,
    name,
    externalIds,
    status,
    parentId,
    placement,
    database: database && summarize(database, { placement, encryptionKeyId }),
    authConfig,
    createdAt,
    updatedAt,
  }
}

/** A tenant's database as operators see it. If there is no current database, the candidate is shown. */
export function databaseView({ tenant, current, candidate, encryptionKeyId, effective }: DatabaseState) {
  const shown = current ?? candidate
  if (shown === null) throw fail('NOT_FOUND', { detail: 'The tenant has no database of its own.' })
  const view = describeDatabase(shown, {
    candidate: current && candidate,
    placement: tenant.placement,
    encryptionKeyId,
  })
  return { ...view, effective }
}
