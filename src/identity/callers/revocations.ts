import { and, eq, gt, sql } from 'drizzle-orm'
import { type CatalogChange, recordChange } from '../../catalog/changes/follower.ts'
import { catalogChanges } from '../../catalog/changes/schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../../catalog/store.ts'
import { MAX_LIFETIME_SECONDS } from '../tokens/form.ts'
import type { TokenIdentity } from './principal.ts'

/** The holder of the tokens: a user of a tenant, or an account if `tenantId` is null. */
export interface VoidSubject {
  readonly tenantId: string | null
  readonly id: string
  /** The lowest valid generation. */
  readonly generation: number
}

interface Revocation {
  readonly generation: number
  /** Milliseconds since 1970. All revoked tokens have expired by then. */
  readonly until: number
}

type TokensChange = Pick<CatalogChange, 'kind' | 'tenantId' | 'subjectId'>

const SUBJECT = /^(.{1,255}):(\d{1,15})$/s
/** Clocks differ, and changes take a moment to arrive. */
const REMEMBERED_SECONDS = MAX_LIFETIME_SECONDS + 300
const PRUNE_EVERY = 1_000
/** Below the largest value of the column, so that later generations still fit. */
export const MAX_GENERATION = 2_147_000_000

/**
 * Revokes the subject's tokens of lower generations, on every replica that follows the changes. It must come last in a
 * transaction, because it holds the lock of the change log until the commit.
 *
 * @returns the number of the change, to wait for.
 */
export function voidTokens(tx: CatalogTx, { tenantId, id, generation }: VoidSubject): Promise<number> {
  return recordChange(tx, { kind: 'tokens', tenantId, subjectId: subjectIdOf({ id, generation }) })
}

/** Writes the holder of the tokens and the lowest valid generation as a change row names them. */
export function subjectIdOf({ id, generation }: Pick<VoidSubject, 'id' | 'generation'>): string {
  return `${id}:${generation}`
}

/**
 * The tokens that were revoked before they expired. They are in memory, because each request checks them. Revocations of the
 * last day are enough, because no token is valid longer.
 */
export class Revocations {
  readonly #store: Pick<CatalogStore, 'db'>
  readonly #now: () => number
  readonly #lowest = new Map<string, Revocation>()
  #applied = 0

  constructor({ store, now = () => Date.now() }: { store: Pick<CatalogStore, 'db'>; now?: () => number }) {
    this.#store = store
    this.#now = now
  }

  /**
   * Reads the revocations from the change log. Call it at the start, after the replica has begun to follow changes, so that none
   * is missed; and again after a gap in the changes. Known revocations stay, because generations only grow.
   */
  async init(): Promise<void> {
    const { kind, tenantId, subjectId, at } = catalogChanges
    const recent = gt(at, sql`now() - make_interval(secs => ${REMEMBERED_SECONDS})`)
    const query = this.#store.db.select({ kind, tenantId, subjectId }).from(catalogChanges)
    for (const change of await catalogErrors(query.where(and(eq(kind, 'tokens'), recent)))) this.apply(change)
  }

  /** Call this when the catalog has lost changes. An account's generation is in the catalog, so the known one may be too high. */
  forgetAccounts(): void {
    for (const key of this.#lowest.keys()) if (key.startsWith(keyOf(null, ''))) this.#lowest.delete(key)
  }

  /** Applies one change. A change of another kind, or an older one, has no effect. */
  apply({ kind, tenantId, subjectId }: TokensChange): void {
    const [, id, generation] = kind === 'tokens' ? (SUBJECT.exec(subjectId ?? '') ?? []) : []
    if (id === undefined) return
    const key = keyOf(tenantId, id)
    const lowest = Math.max(Number(generation), this.#lowest.get(key)?.generation ?? 0)
    this.#lowest.set(key, { generation: lowest, until: this.#now() + REMEMBERED_SECONDS * 1000 })
    this.#applied += 1
    if (this.#applied % PRUNE_EVERY === 0) this.#prune()
  }

  /** True if the holder's tokens of this generation were revoked. */
  isVoid(identity: TokenIdentity): boolean {
    if (this.#lowest.size === 0 || identity.kind === 'external-token' || identity.generation === null)
      return false
    const isUser = identity.kind === 'user'
    const key = isUser ? keyOf(identity.tenantId, identity.userId) : keyOf(null, identity.accountId)
    const lowest = this.#lowest.get(key)
    return lowest !== undefined && identity.generation < lowest.generation
  }

  /** The lowest valid generation of a user, as announced within the lifetime of a token. 0 without an announcement. */
  lowestOf(tenantId: string, userId: string): number {
    return asColumn(this.#lowest.get(keyOf(tenantId, userId))?.generation ?? 0)
  }

  /** As `lowestOf`, for every user of a tenant with an announcement. */
  lowestOfTenant(tenantId: string): ReadonlyMap<string, number> {
    const prefix = keyOf(tenantId, '')
    const found = new Map<string, number>()
    for (const [key, { generation }] of this.#lowest) {
      if (key.startsWith(prefix)) found.set(key.slice(prefix.length), asColumn(generation))
    }
    return found
  }

  #prune(): void {
    const now = this.#now()
    for (const [key, { until }] of this.#lowest) {
      if (until <= now) this.#lowest.delete(key)
    }
  }
}

/** The owner of a dedicated database controls its rows, so an announced generation may be larger than our column can hold. */
function asColumn(generation: number): number {
  return Math.min(generation, MAX_GENERATION)
}

function keyOf(tenantId: string | null, id: string): string {
  return tenantId === null ? `account:${id}` : `user:${tenantId}:${id}`
}
