import { hash, timingSafeEqual } from 'node:crypto'
import { and, asc, eq, gt, isNull, sql } from 'drizzle-orm'
import { type Actor, recordAudit } from '../../catalog/audit/entries.ts'
import { recordChange } from '../../catalog/changes/follower.ts'
import { idFromCursor, type Page, pageOf } from '../../catalog/pages.ts'
import { operators } from '../../catalog/schema.ts'
import { type CatalogStore, catalogErrors } from '../../catalog/store.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { fail, invalidField } from '../../errors.ts'
import type { FreshCache } from '../../lib/cache/fresh-cache.ts'
import { isUuid, newId } from '../../lib/ids.ts'
import type { Secret } from '../../lib/secret.ts'
import { isName, NAME_RULE } from '../people/names.ts'
import { createCatalogRowCache } from './catalog-row-cache.ts'
import type { PageRequest } from './client-keys.ts'
import { keyLookup, makeKey } from './opaque-keys.ts'
import type { OperatorPrincipal, OperatorRole } from './principal.ts'

export interface NewOperator {
  readonly name: string
  readonly role: OperatorRole
}

/** An operator as callers may see it: without the token. */
export interface Operator {
  readonly id: string
  readonly name: string
  readonly role: OperatorRole
  readonly prefix: string
  readonly createdAt: string
}

export interface OperatorsParts {
  readonly store: CatalogStore
  /** The vault, after `init`. */
  readonly vault: { readonly service: DataKey }
  /** At least 32 characters, which the settings check. It works while the catalog cannot be reached. */
  readonly bootstrapToken: Secret | null
  /** How long known tokens are accepted while the catalog cannot be reached. */
  readonly maxStalenessMs?: number
}

interface CachedOperator {
  readonly id: string
  readonly tokenHash: Buffer
  readonly principal: OperatorPrincipal
}

type OperatorRow = typeof operators.$inferSelect

const BOOTSTRAP: OperatorPrincipal = Object.freeze({
  kind: 'operator',
  id: 'bootstrap',
  name: 'bootstrap',
  role: 'admin',
})

/** The people and programs that run the service. They use the bootstrap token of the settings, or tokens of the catalog. */
export class Operators {
  readonly #store: CatalogStore
  readonly #vault: { readonly service: DataKey }
  readonly #bootstrapDigest: Buffer | null
  readonly #cache: FreshCache<string, CachedOperator>

  constructor({ store, vault, bootstrapToken, maxStalenessMs = 300_000 }: OperatorsParts) {
    this.#store = store
    this.#vault = vault
    this.#bootstrapDigest = bootstrapToken ? digest(bootstrapToken.reveal()) : null
    this.#cache = createCatalogRowCache({ load: (lookup) => this.#load(lookup), maxStalenessMs })
  }

  /**
   * Creates an operator. Only this result contains `token`.
   *
   * @throws PublicError VALIDATION_FAILED
   */
  async create({ name, role }: NewOperator, actor: Actor): Promise<Operator & { token: string }> {
    if (!isName(name)) throw invalidField('/name', NAME_RULE)
    const { text, lookup, prefix } = makeKey('fho')
    const values = { id: newId(), name, role, prefix, lookup, tokenHash: this.#hash(text) }
    return this.#store.transaction(async (tx) => {
      const [row] = await tx.insert(operators).values(values).returning()
      if (!row) throw new Error('the operator was not stored')
      const shown = publicOperator(row)
      await recordAudit(tx, { actor, action: 'operator.create', tenantId: null, after: { ...shown } })
      return { ...shown, token: text }
    })
  }

  /** The operators that are not revoked, oldest first, without the bootstrap token. */
  async list({ limit, cursor }: PageRequest): Promise<Page<Operator>> {
    const after = cursor === undefined ? undefined : gt(operators.id, idFromCursor(cursor))
    const query = this.#store.db
      .select()
      .from(operators)
      .where(and(isNull(operators.revokedAt), after))
      .orderBy(asc(operators.id))
      .limit(limit + 1)
    const rows = await catalogErrors(query)
    return pageOf(rows.map(publicOperator), limit)
  }

  /**
   * Revokes an operator's token, on every replica that follows the changes.
   *
   * @returns the number of the change, to wait for.
   * @throws PublicError NOT_FOUND
   */
  async revoke(id: string, actor: Actor): Promise<number> {
    if (!isUuid(id)) throw fail('NOT_FOUND')
    const seq = await this.#store.transaction(async (tx) => {
      const [row] = await tx
        .update(operators)
        .set({ revokedAt: sql`now()` })
        .where(and(eq(operators.id, id), isNull(operators.revokedAt)))
        .returning()
      if (!row) throw fail('NOT_FOUND')
      await recordAudit(tx, {
        actor,
        action: 'operator.revoke',
        tenantId: null,
        before: { ...publicOperator(row) },
      })
      return recordChange(tx, { kind: 'operator', tenantId: null, subjectId: id })
    })
    this.#cache.invalidate(id)
    return seq
  }

  /** True if a bearer token has the form of an operator's. Then `authenticate` verifies it; otherwise `AccessTokens` does. */
  recognises(token: string): boolean {
    return token.startsWith('fho_') || this.#isBootstrap(token)
  }

  /**
   * Finds the operator with this token.
   *
   * @throws PublicError INVALID_CREDENTIALS
   */
  async authenticate(token: string): Promise<OperatorPrincipal> {
    if (this.#isBootstrap(token)) return BOOTSTRAP
    const lookup = keyLookup('fho', token)
    const row = lookup === null ? null : await this.#cache.find(lookup)
    if (!row || !timingSafeEqual(row.tokenHash, this.#hash(token))) throw fail('INVALID_CREDENTIALS')
    return row.principal
  }

  /** Call this for each change of kind `operator`. */
  invalidate(id: string): void {
    this.#cache.invalidate(id)
  }

  /** Call this when changes may have been missed. */
  clear(): void {
    this.#cache.clear()
  }

  /** Compares digests, which all have one length, so that the time does not tell the token's length. */
  #isBootstrap(token: string): boolean {
    return this.#bootstrapDigest !== null && timingSafeEqual(this.#bootstrapDigest, digest(token))
  }

  async #load(lookup: string): Promise<CachedOperator | null> {
    const query = this.#store.db.select().from(operators)
    const [row] = await catalogErrors(
      query.where(and(eq(operators.lookup, lookup), isNull(operators.revokedAt))),
    )
    if (!row) return null
    const { id, name, role, tokenHash } = row
    return { id, tokenHash, principal: Object.freeze({ kind: 'operator', id, name, role }) }
  }

  #hash(token: string): Buffer {
    return this.#vault.service.mac('operator-token-hash', token)
  }
}

/** @throws PublicError PERMISSION_DENIED for a viewer. */
export function assertMayWrite(operator: OperatorPrincipal): void {
  if (operator.role !== 'admin') throw fail('PERMISSION_DENIED', { required: 'operator:admin' })
}

function publicOperator({ id, name, role, prefix, createdAt }: OperatorRow): Operator {
  return { id, name, role, prefix, createdAt: createdAt.toISOString() }
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}
