import { and, ne, type SQL, sql } from 'drizzle-orm'
import { accounts } from '../../catalog/schema.ts'
import type { CatalogTx } from '../../catalog/store.ts'
import { fail } from '../../errors.ts'
import { storedSpellings } from './names.ts'

/** A condition: the account has this address, in any spelling in which it may be stored. */
export function hasSpelling(email: string): SQL {
  return sql`lower(${accounts.email}) = any(${spellings(email)}::text[])`
}

/** Sorts the typed spelling first. Old addresses are not composed (NFC), so two accounts may differ only in that. */
export function bySpelling(email: string): SQL {
  return sql`array_position(${spellings(email)}::text[], lower(${accounts.email}))`
}

/**
 * The unique index compares one spelling only, so older spellings are checked here.
 *
 * @throws PublicError CONFLICT if another account has the address in an older spelling.
 */
export async function assertEmailFree(tx: CatalogTx, email: string, accountId?: string): Promise<void> {
  const isOther = accountId === undefined ? undefined : ne(accounts.id, accountId)
  const query = tx.select({ id: accounts.id }).from(accounts)
  const [other] = await query.where(and(hasSpelling(email), isOther)).limit(1)
  if (other !== undefined) throw emailTaken()
}

export function emailTaken(cause?: unknown) {
  return fail('CONFLICT', { detail: 'The email address is taken.', ...(cause !== undefined && { cause }) })
}

function spellings(email: string) {
  return sql.param([...storedSpellings(email)])
}
