import { timingSafeEqual } from 'node:crypto'
import { and, asc, eq, gt, isNull, sql } from 'drizzle-orm'
import { type Actor, recordAudit } from '../../catalog/audit/entries.ts'
import { recordChange } from '../../catalog/changes/follower.ts'
import { idFromCursor, type Page, pageOf } from '../../catalog/pages.ts'
import { clientKeys } from '../../catalog/schema.ts'
import { type CatalogStore, catalogErrors } from '../../catalog/store.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { type FieldError, fail } from '../../errors.ts'
import type { FreshCache } from '../../lib/cache/fresh-cache.ts'
import { isUuid, newId } from '../../lib/ids.ts'
import { PermissionSet, parsePermission } from '../access/permissions.ts'
import { isName, NAME_RULE } from '../people/names.ts'
import { createCatalogRowCache } from './catalog-row-cache.ts'
import { keyLookup, makeKey } from './opaque-keys.ts'
import type { ClientKeyPrincipal } from './principal.ts'

export interface NewClientKey {
  readonly name: string
  readonly permissions: readonly string[]
  /** ISO 8601, in the future. Without it the key is valid until it is revoked. */
  readonly expiresAt?: string | null
}

/** A client key as callers may see it: without the key itself. */
export interface ClientKey {
  readonly id: string
  readonly name: string
  readonly permissions: readonly string[]
  readonly prefix: string
  readonly createdAt: string
  readonly expiresAt: string | null
  readonly lastUsedAt: string | null
}

/** A new key. The key itself is shown only here. It has not been used yet. */
export type CreatedClientKey = Omit<ClientKey, 'lastUsedAt'> & { readonly key: string }

export interface PageRequest {
  readonly limit: number
  /** `nextCursor` of the page before. */
  readonly cursor?: string | undefined
}

export interface ClientKeysParts {
  readonly store: CatalogStore
  /** The vault, after `init`. */
  readonly vault: { readonly service: DataKey }
  /** How long known keys are accepted while the catalog cannot be reached. */
  readonly maxStalenessMs?: number
  readonly now?: () => number
}

interface CachedKey {
  readonly id: string
  readonly secretHash: Buffer
  /** Milliseconds since 1970; infinite without an expiry. */
  readonly until: number
  readonly principal: ClientKeyPrincipal
}

type KeyRow = typeof clientKeys.$inferSelect
const MAX_PERMISSIONS = 100

/** Creates, lists, revokes and verifies the keys of a tenant's programs. The catalog stores only a keyed hash of each key. */
export class ClientKeys {
  readonly #store: CatalogStore
  readonly #vault: { readonly service: DataKey }
  readonly #now: () => number
  readonly #cache: FreshCache<string, CachedKey>
  #used = new Map<string, Date>()

  constructor({ store, vault, maxStalenessMs = 300_000, now = () => Date.now() }: ClientKeysParts) {
    this.#store = store
    this.#vault = vault
    this.#now = now
    this.#cache = createCatalogRowCache({ load: (lookup) => this.#load(lookup), maxStalenessMs })
  }

  /**
   * Creates a key. Only this result contains `key`.
   *
   * @throws PublicError VALIDATION_FAILED
   */
  async create(tenantId: string, input: NewClientKey, actor: Actor): Promise<CreatedClientKey> {
    const faults = checkNewClientKey(input, this.#now())
    if (faults.length > 0) throw fail('VALIDATION_FAILED', { errors: faults })
    const { text, lookup, prefix } = makeKey('fhk')
    const values = {
      id: newId(),
      tenantId,
      name: input.name,
      permissions: [...new PermissionSet(input.permissions).list],
      prefix,
      lookup,
      secretHash: this.#hash(text),
      expiresAt: input.expiresAt ? new Date(input.expiresAt) : null,
    }
    return this.#store.transaction(async (tx) => {
      const [row] = await tx.insert(clientKeys).values(values).returning()
      if (!row) throw new Error('the client key was not stored')
      const { lastUsedAt: _never, ...shown } = publicClientKey(row)
      await recordAudit(tx, { actor, action: 'client-key.create', tenantId, after: { ...shown } })
      return { ...shown, key: text }
    })
  }

  /** The tenant's keys that are not revoked, oldest first. */
  async list(tenantId: string, { limit, cursor }: PageRequest): Promise<Page<ClientKey>> {
    const after = cursor === undefined ? undefined : gt(clientKeys.id, idFromCursor(cursor))
    const query = this.#store.db
      .select()
      .from(clientKeys)
      .where(and(ofTenant(tenantId), after))
      .orderBy(asc(clientKeys.id))
      .limit(limit + 1)
    const rows = await catalogErrors(query)
    return pageOf(rows.map(publicClientKey), limit)
  }

  /** @throws PublicError NOT_FOUND, also for another tenant's key and a revoked one. */
  async find(tenantId: string, id: string): Promise<ClientKey> {
    if (!isUuid(id)) throw fail('NOT_FOUND')
    const query = this.#store.db.select().from(clientKeys)
    const [row] = await catalogErrors(query.where(and(ofTenant(tenantId), eq(clientKeys.id, id))))
    if (!row) throw fail('NOT_FOUND')
    return publicClientKey(row)
  }

  /**
   * Revokes a key, on every replica that follows the changes.
   *
   * @returns the number of the change, to wait for.
   * @throws PublicError NOT_FOUND, also for another tenant's key and a revoked one.
   */
  async revoke(tenantId: string, id: string, actor: Actor): Promise<number> {
    if (!isUuid(id)) throw fail('NOT_FOUND')
    const seq = await this.#store.transaction(async (tx) => {
      const [row] = await tx
        .update(clientKeys)
        .set({ revokedAt: sql`now()` })
        .where(and(ofTenant(tenantId), eq(clientKeys.id, id)))
        .returning()
      if (!row) throw fail('NOT_FOUND')
      await recordAudit(tx, {
        actor,
        action: 'client-key.revoke',
        tenantId,
        before: { ...publicClientKey(row) },
      })
      return recordChange(tx, { kind: 'client-key', tenantId, subjectId: id })
    })
    this.#cache.invalidate(id)
    return seq
  }

  /**
   * Finds the caller with this key. If `tenantId` is given, the key must belong to that tenant (null: the caller named a tenant
   * that does not exist). A key of another tenant gets the same answer as an unknown key.
   *
   * @throws PublicError INVALID_CREDENTIALS
   */
  async authenticate(key: string, tenantId?: string | null): Promise<ClientKeyPrincipal> {
    const lookup = keyLookup('fhk', key)
    if (lookup === null) throw fail('INVALID_CREDENTIALS')
    // No await for a cached key: a promise costs more than the look-up.
    const known = this.#cache.peek(lookup)
    const row = known === undefined ? await this.#cache.find(lookup) : known
    if (!row || !timingSafeEqual(row.secretHash, this.#hash(key))) throw fail('INVALID_CREDENTIALS')
    const now = this.#now()
    if (now >= row.until) throw fail('INVALID_CREDENTIALS')
    if (tenantId !== undefined && row.principal.tenantId !== tenantId) throw fail('INVALID_CREDENTIALS')
    this.#used.set(row.id, new Date(now))
    return row.principal
  }

  /** Writes when keys were last used. Call it once a minute and at shutdown. Requests only note the time in memory. */
  async flushLastUsed(): Promise<void> {
    const used = this.#used
    if (used.size === 0) return
    this.#used = new Map()
    const ids = sql.param([...used.keys()])
    const times = sql.param([...used.values()].map((at) => at.toISOString()))
    const written = this.#store.db.execute(sql`
      update client_keys as k set last_used_at = greatest(k.last_used_at, used.at)
      from unnest(${ids}::uuid[], ${times}::timestamptz[]) as used (id, at)
      where k.id = used.id`)
    await catalogErrors(written)
  }

  /** Call this for each change of kind `client-key`. */
  invalidate(id: string): void {
    this.#cache.invalidate(id)
  }

  /** Call this when changes may have been missed. */
  clear(): void {
    this.#cache.clear()
  }

  async #load(lookup: string): Promise<CachedKey | null> {
    const query = this.#store.db.select().from(clientKeys)
    const [row] = await catalogErrors(
      query.where(and(eq(clientKeys.lookup, lookup), isNull(clientKeys.revokedAt))),
    )
    return row ? cachedKey(row) : null
  }

  /** Hashes the whole key, so that a secret is valid only with its own lookup. */
  #hash(key: string): Buffer {
    return this.#vault.service.mac('client-key-hash', key)
  }
}

/** The faults of a new client key. `now` is in milliseconds since 1970. */
export function checkNewClientKey({ name, permissions, expiresAt }: NewClientKey, now: number): FieldError[] {
  const faults: FieldError[] = []
  if (!isName(name)) faults.push({ pointer: '/name', message: NAME_RULE })
  if (permissions.length > MAX_PERMISSIONS) {
    faults.push({ pointer: '/permissions', message: `must not have more than ${MAX_PERMISSIONS} items` })
  }
  permissions.forEach((permission, i) => {
    if (parsePermission(permission)) return
    faults.push({ pointer: `/permissions/${i}`, message: 'must be resource:action, resource:* or *' })
  })
  // JavaScript writes later years with six digits, and PostgreSQL does not accept that.
  if (expiresAt && !(Date.parse(expiresAt) > now && new Date(expiresAt).getUTCFullYear() <= 9999)) {
    faults.push({ pointer: '/expiresAt', message: 'must be a time in the future' })
  }
  return faults
}

function ofTenant(tenantId: string) {
  return and(eq(clientKeys.tenantId, tenantId), isNull(clientKeys.revokedAt))
}

function publicClientKey(row: KeyRow): ClientKey {
  return {
    id: row.id,
    name: row.name,
    permissions: row.permissions,
    prefix: row.prefix,
    createdAt: row.createdAt.toISOString(),
    expiresAt: row.expiresAt?.toISOString() ?? null,
    lastUsedAt: row.lastUsedAt?.toISOString() ?? null,
  }
}

function cachedKey(row: KeyRow): CachedKey {
  return {
    id: row.id,
    secretHash: row.secretHash,
    until: row.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
    principal: Object.freeze({
      kind: 'client-key',
      keyId: row.id,
      tenantId: row.tenantId,
      permissions: new PermissionSet(row.permissions),
    }),
  }
}
