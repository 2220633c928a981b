import { asc, desc, gte } from 'drizzle-orm'
import { type ChangeKind, catalogChanges } from './changes/schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** One row of the change log: a subject of this kind has changed. */
export interface CatalogChange {
  readonly seq: number
  readonly kind: ChangeKind
  readonly tenantId: string | null
  readonly subjectId: string | null
}

/**
 * A position in the change log: the number and the id of the last applied change. The number is not enough: after a restore, or a
 * failover that lost changes, other changes have the same numbers.
 */
export interface Position {
  readonly seq: number
  /** Null before the first change. */
  readonly id: string | null
}

export type LoggedChange = CatalogChange & { readonly id: string }

/** Before the first change of a log. */
export const BEGINNING: Position = Object.freeze({ seq: 0, id: null })

/**
 * The changes after `position`, at most `limit`, in order. Null if the log was replaced: the change at `position` is gone or has
 * another id, or changes after it are missing. One query reads the position and the changes, so that no change can come in
 * between.
 * @throws PublicError CATALOG_UNAVAILABLE
 */
export async function changesAfter(
  store: CatalogStore,
  position: Position,
  limit: number,
): Promise<LoggedChange[] | null> {
  const { seq, id, kind, tenantId, subjectId } = catalogChanges
  const query = store.db
    .select({ seq, id, kind, tenantId, subjectId })
    .from(catalogChanges)
    .where(gte(seq, position.seq))
    .orderBy(asc(seq))
    .limit(limit + 1)
  const rows = await catalogErrors(query)
  if (position.id !== null && rows.shift()?.id !== position.id) return null
  return rows.every((row, i) => row.seq === position.seq + 1 + i) ? rows.slice(0, limit) : null
}

/** The last change of the log. @throws PublicError CATALOG_UNAVAILABLE */
export async function endOfLog(store: CatalogStore): Promise<Position> {
  const { seq, id } = catalogChanges
  const query = store.db.select({ seq, id }).from(catalogChanges).orderBy(desc(seq)).limit(1)
  const [last] = await catalogErrors(query)
  return last ?? BEGINNING
}
