import { and, eq, gt, isNull, lte, or, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import { type Actor, recordAudit } from '../../catalog/audit/entries.ts'
import { recordChange } from '../../catalog/changes/follower.ts'
import { signingKeys, tenants } from '../../catalog/schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../../catalog/store.ts'
import { lockTenant, type Tenant } from '../../catalog/tenants.ts'
import type { Vault } from '../../catalog/vault.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { fail, invalidField } from '../../errors.ts'
import { atMost } from '../../lib/cache/at-most.ts'
import type { FreshCache } from '../../lib/cache/fresh-cache.ts'
import { createCatalogRowCache } from '../callers/catalog-row-cache.ts'
import type { Changed } from '../people/changed.ts'
import { makeKid, ownerOfKid } from './key-ids.ts'
import { type KeyRow, makeKeyRow, openKeyRow, publicKeysOf, recordOf } from './key-material.ts'
import type { KeyRecord, PublicJwk, SigningAlgorithm, SigningKey, VerificationKey } from './signing-key.ts'

export interface NewTenantKey {
  readonly algorithm: SigningAlgorithm
  /** For HS256 only: base64 or base64url of at least 32 bytes. Random by default. */
  readonly secret?: string | undefined
}

/** The next key of the same algorithm. For HS256 it may have the secret of the other signer. */
export type Rotation = Pick<NewTenantKey, 'secret'>

export interface TenantKeysParts {
  readonly store: CatalogStore
  readonly vault: Pick<Vault, 'service' | 'dataKey' | 'opening'>
  readonly maxStalenessMs?: number
  readonly onWithdrawn?: (tenantId: string) => void
}

/** A tenant's keys, from one read. */
interface KeySet {
  /** The tenant's id. */
  readonly id: string
  readonly keys: ReadonlyMap<string, SigningKey>
  readonly current: SigningKey | null
}

interface KeyChange {
  readonly tenantId: string
  readonly actor: Actor
  readonly action: string
}

/** The tenant and its keys before a change. */
interface Before {
  readonly tenant: Tenant
  readonly dataKey: DataKey
  readonly current: KeyRow | null
  /** The number of keys that verify. */
  readonly valid: number
}

interface NewKey {
  readonly algorithm: SigningAlgorithm
  readonly secret?: Buffer | undefined
}

const MIN_SECRET_BYTES = 32
const MAX_SECRET_BYTES = 512
const OVERLAP_MARGIN_SECONDS = 60
const MAX_KEYS = 20
const RETRY_MS = 5_000

/**
 * The keys of tenants that sign their own tokens. They are sealed under the tenant's data key, and cached when they are used. The
 * name of a key that we did not issue is refused without a look-up.
 */
export class TenantKeys {
  readonly #parts: TenantKeysParts
  readonly #sets: FreshCache<string, KeySet>
  /** Names of keys that we issued but did not find, and when we last looked. */
  readonly #missing = new LRUCache<string, number>(atMost(10_000))

  constructor(parts: TenantKeysParts) {
    this.#parts = parts
    const { maxStalenessMs = 300_000 } = parts
    this.#sets = createCatalogRowCache({
      load: (tenantId) => this.#load(tenantId),
      isById: true,
      maxStalenessMs,
    })
  }

  /** @throws PublicError CATALOG_UNAVAILABLE */
  find(kid: string): undefined | SigningKey | Promise<VerificationKey | undefined> {
    const tenantId = ownerOfKid(this.#parts.vault.service, kid)
    if (typeof tenantId !== 'string') return undefined
    return this.#sets.peek(tenantId)?.keys.get(kid) ?? this.#findNew(tenantId, kid)
  }

  /** The key with which the tenant signs. Null if it has none. */
  async current(tenantId: string): Promise<SigningKey | null> {
    return (await this.#sets.find(tenantId))?.current ?? null
  }

  /** The tenant's public keys. Empty for a tenant without a key, or with a shared secret. */
  async jwks(tenantId: string): Promise<{ keys: PublicJwk[] }> {
    const set = await this.#sets.find(tenantId)
    return publicKeysOf(set?.keys.values() ?? [], Date.now())
  }

  /** @throws PublicError NOT_FOUND if the tenant has no key of its own. */
  async describe(tenantId: string): Promise<KeyRecord> {
    const key = await this.current(tenantId)
    if (key === null) throw fail('NOT_FOUND')
    return recordOf(key)
  }

  /**
   * Sets the tenant's key. Its former keys are no longer valid.
   *
   * @throws PublicError VALIDATION_FAILED for a bad secret; TENANT_NOT_FOUND.
   */
  async replace(tenantId: string, input: NewTenantKey, actor: Actor): Promise<Changed<KeyRecord>> {
    const secret = readSecret(input)
    const change = { tenantId, actor, action: 'signing-key.replace' }
    const { result, seq } = await this.#change(change, async (tx, before) => {
      await tx.delete(signingKeys).where(ofTenant(tenantId))
      return this.#insert(tx, before, { algorithm: input.algorithm, secret })
    })
    return { result: recordOf(result), seq }
  }

  /**
   * Creates a new key of the same algorithm. The old key verifies its tokens until they have expired.
   *
   * @throws PublicError VALIDATION_FAILED for a bad secret; TENANT_NOT_FOUND; NOT_FOUND if the tenant has no key
   *   of its own; CONFLICT.
   */
  async rotate(tenantId: string, { secret }: Rotation, actor: Actor): Promise<Changed<KeyRecord>> {
    const change = { tenantId, actor, action: 'signing-key.rotate' }
    const { result, seq } = await this.#change(change, async (tx, before) => {
      const { tenant, current, valid } = before
      if (current === null) throw fail('NOT_FOUND')
      if (valid >= MAX_KEYS) throw fail('CONFLICT', { detail: 'The key was rotated too often.' })
      await tx.delete(signingKeys).where(and(ofTenant(tenantId), lte(signingKeys.verifyUntil, sql`now()`)))
      const overlap = tenant.authConfig.accessTokenSeconds + OVERLAP_MARGIN_SECONDS
      const verifyUntil = sql`now() + make_interval(secs => ${overlap})`
      await tx.update(signingKeys).set({ verifyUntil }).where(eq(signingKeys.id, current.id))
      const { algorithm } = current
      return this.#insert(tx, before, { algorithm, secret: readSecret({ algorithm, secret }) })
    })
    return { result: recordOf(result), seq }
  }

  /**
   * Deletes all keys of the tenant. The service signs for it again.
   *
   * @returns the number of the change, to wait for.
   * @throws PublicError TENANT_NOT_FOUND; NOT_FOUND if the tenant has no key of its own.
   */
  async remove(tenantId: string, actor: Actor): Promise<number | null> {
    const change = { tenantId, actor, action: 'signing-key.delete' }
    const { seq } = await this.#change(change, async (tx, { current }) => {
      if (current === null) throw fail('NOT_FOUND')
      await tx.delete(signingKeys).where(ofTenant(tenantId))
      return null
    })
    return seq
  }

  /** Call this for each change of kind `signing-key` with the tenant's id. */
  invalidate(tenantId: string): void {
    this.#sets.invalidate(tenantId)
    this.#parts.onWithdrawn?.(tenantId)
  }

  /** Call this when changes may have been missed. */
  clear(): void {
    this.#sets.clear()
  }

  /** Reads the keys again, because another replica may have created the key a moment ago. */
  async #findNew(tenantId: string, kid: string): Promise<VerificationKey | undefined> {
    const known = (await this.#sets.find(tenantId))?.keys.get(kid)
    const now = Date.now()
    if (known || now - (this.#missing.get(kid) ?? 0) < RETRY_MS) return known
    this.#missing.set(kid, now)
    this.#sets.invalidate(tenantId)
    return (await this.#sets.find(tenantId))?.keys.get(kid)
  }

  /** Changes a tenant's keys, with its audit row and its change row. Only one such change runs at a time. */
  async #change<Made extends KeyRow | null>(
    { tenantId, actor, action }: KeyChange,
    apply: (tx: CatalogTx, before: Before) => Promise<Made>,
  ): Promise<Changed<Made>> {
    if ((await this.#sets.find(tenantId)) === null) throw fail('TENANT_NOT_FOUND')
    // Before the transaction, because the first use of a data key takes a connection of its own.
    const dataKey = await this.#parts.vault.dataKey(tenantId)
    const changed = await this.#parts.store.transaction(async (tx) => {
      const tenant = await lockTenant(tx, tenantId)
      if (tenant === null) throw fail('TENANT_NOT_FOUND')
      const rows = await tx
        .select()
        .from(signingKeys)
        .where(and(ofTenant(tenantId), LIVING))
      const current = rows.find(({ verifyUntil }) => verifyUntil === null) ?? null
      const row = await apply(tx, { tenant, dataKey, current, valid: rows.length })
      const before = current && { kid: current.kid, algorithm: current.algorithm }
      const after = row && { kid: row.kid, algorithm: row.algorithm }
      const record = { actor, action, tenantId, ...(before && { before }), ...(after && { after }) }
      await recordAudit(tx, record)
      return { result: row, seq: await recordChange(tx, { kind: 'signing-key', tenantId }) }
    })
    this.invalidate(tenantId)
    return changed
  }

  async #insert(tx: CatalogTx, { tenant, dataKey }: Before, key: NewKey): Promise<KeyRow> {
    const kid = makeKid(this.#parts.vault.service, tenant.id)
    const values = await makeKeyRow(dataKey, { ...key, tenantId: tenant.id, kid })
    const [row] = await tx.insert(signingKeys).values(values).returning()
    if (!row) throw new Error('the signing key was not stored')
    return row
  }

  async #load(tenantId: string): Promise<KeySet | null> {
    const query = this.#parts.store.db
      .select({ tenantCode: tenants.code, row: signingKeys })
      .from(tenants)
      .leftJoin(signingKeys, and(eq(signingKeys.tenantId, tenants.id), LIVING))
      .where(eq(tenants.id, tenantId))
    const found = await catalogErrors(query)
    if (found.length === 0) return null
    const keys = await Promise.all(
      found.flatMap(({ tenantCode, row }) => (row ? this.#open(row, { tenantId, tenantCode }) : [])),
    )
    const current = keys.find(({ verifyUntil }) => verifyUntil === null) ?? null
    return { id: tenantId, keys: new Map(keys.map((key) => [key.kid, key])), current }
  }

  async #open(row: KeyRow, owner: { tenantId: string; tenantCode: string }): Promise<SigningKey> {
    const { vault } = this.#parts
    return vault.opening(owner.tenantId, async () =>
      openKeyRow(await vault.dataKey(owner.tenantId), row, Object.freeze(owner)),
    )
  }
}

const LIVING = or(isNull(signingKeys.verifyUntil), gt(signingKeys.verifyUntil, sql`now()`))

function ofTenant(tenantId: string) {
  return eq(signingKeys.tenantId, tenantId)
}

/** @throws PublicError VALIDATION_FAILED, whose message does not repeat any part of the secret. */
function readSecret({ algorithm, secret }: NewTenantKey): Buffer | undefined {
  if (secret === undefined) return undefined
  if (algorithm !== 'HS256') throw invalidField('/secret', 'is for HS256 only')
  const isBase64 = /^[A-Za-z0-9+/]+={0,2}$/.test(secret) || /^[A-Za-z0-9_-]+={0,2}$/.test(secret)
  const bytes = Buffer.from(secret, 'base64url')
  // Decoding never fails, so the decoded bytes are encoded again and compared with the input.
  const canonical = bytes.toString('base64url')
  const given = secret.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
  if (!isBase64 || canonical !== given) throw invalidField('/secret', 'must be base64 or base64url')
  if (bytes.length < MIN_SECRET_BYTES)
    throw invalidField('/secret', `must have at least ${MIN_SECRET_BYTES} bytes`)
  if (bytes.length > MAX_SECRET_BYTES)
    throw invalidField('/secret', `must have at most ${MAX_SECRET_BYTES} bytes`)
  return bytes
}
