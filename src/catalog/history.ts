import { asc, desc, gte } from 'drizzle-orm'
import { type ChangeKind, catalogChanges } from './changes/schema.ts'
import { type CatalogStore, catalogErrors } from './store.ts'

/** One row of the change log: something of this kind is not what it was. */
export interface CatalogChange {
  readonly seq: number
  readonly kind: ChangeKind
  readonly tenantId: string | null
  readonly subjectId: string | null
}

/**
 * A place in the change log: the last change applied, by number and id. The number alone would not do: after a failover
 * that lost changes, or a restore, other changes have the same numbers.
 */
export interface Position {
  readonly seq: number
  /** Null before the first change. */
  readonly id: string | null
}

/** A change together with its id. */
export type LoggedChange = CatalogChange & { readonly id: string }

/** Before the first change of a log. */
export const BEGINNING: Position = Object.freeze({ seq: 0, id: null })

/**
 * The changes after `position`, at most `limit`, in order. Null when the log does not lead there: the change at `position` is
 * gone or is another one, or changes are missing after it. One query reads both, so that nothing can come in between.
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
