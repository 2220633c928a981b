import { and, desc, eq, gt, isNull, lte, or, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import { type Actor, recordAudit } from '../../catalog/audit/entries.ts'
import { recordChange } from '../../catalog/changes/follower.ts'
import { signingKeys } from '../../catalog/schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../../catalog/store.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { fail } from '../../errors.ts'
import { SingleFlight } from '../../lib/single-flight.ts'
import type { Changed } from '../people/changed.ts'
import { makeKid, ownerOfKid } from './key-ids.ts'
import { type KeyRow, makeKeyRow, openKeyRow, publicKeysOf, recordOf } from './key-material.ts'
import type { KeyRecord, PublicJwk, SigningKey, VerificationKey } from './signing-key.ts'

export interface ServiceKeysParts {
  readonly store: CatalogStore
  readonly vault: { readonly service: DataKey }
}

// A number that nothing else locks: 'fhsk' in ASCII.
const SERVICE_KEY_LOCK = 0x6668736b
/** The longest lifetime of a token that the old key signed, and a margin for clocks. */
const OVERLAP_SECONDS = 86_400 + 60
/** All keys are published. Repeated rotations must not make the list grow without limit. */
const MAX_KEYS = 20
const RETRY_MS = 5_000

/** The service's own keys, in memory after `init`. On a `signing-key` change, `reload` reads the keys that other replicas made. */
export class ServiceKeys {
  readonly #parts: ServiceKeysParts
  readonly #reloads = new SingleFlight<void>()
  /** Names of keys that we issued but did not find, and when we last looked. */
  readonly #missing = new LRUCache<string, number>({ max: 1_000 })
  #byKid: ReadonlyMap<string, SigningKey> = new Map()
  #current: SigningKey | undefined
  /** Reads are numbered in the order in which they start: the last one started, and the one whose keys are in use. */
  #begun = 0
  #adopted = 0

  constructor({ store, vault }: ServiceKeysParts) {
    this.#parts = { store, vault }
  }

  /** Reads the keys, and creates the first one if there is none. If several replicas start, only one creates it. */
  async init(): Promise<void> {
    const turn = this.#begin()
    await this.#parts.store.transaction(async (tx) => {
      await lockKeys(tx)
      const rows = await selectKeys(tx)
      if (!rows.some((row) => row.verifyUntil === null)) rows.unshift(await this.#insert(tx))
      await this.#adopt(rows, turn)
    })
  }

  /** Reads the keys again. */
  async reload(): Promise<void> {
    const turn = this.#begin()
    await this.#adopt(await catalogErrors(selectKeys(this.#parts.store.db)), turn)
  }

  /** The key that signs. */
  get current(): SigningKey {
    if (this.#current === undefined) throw new Error('the signing keys are not open yet')
    return this.#current
  }

  find(kid: string): VerificationKey | undefined | Promise<VerificationKey | undefined> {
    return this.#byKid.get(kid) ?? this.#findNew(kid)
  }

  /** The public keys. */
  jwks(): { keys: PublicJwk[] } {
    return publicKeysOf(this.#byKid.values(), Date.now())
  }

  /** Creates a new key that signs from now on. The old key verifies its tokens until they have expired. */
  async rotate(actor: Actor): Promise<Changed<KeyRecord>> {
    const { row, seq } = await this.#parts.store.transaction(async (tx) => {
      await lockKeys(tx)
      await tx.delete(signingKeys).where(and(OURS, lte(signingKeys.verifyUntil, sql`now()`)))
      const before = await selectKeys(tx)
      if (before.length >= MAX_KEYS) throw fail('CONFLICT', { detail: 'The key was rotated too often.' })
      const verifyUntil = sql`now() + make_interval(secs => ${OVERLAP_SECONDS})`
      await tx
        .update(signingKeys)
        .set({ verifyUntil })
        .where(and(OURS, isNull(signingKeys.verifyUntil)))
      const row = await this.#insert(tx)
      const { kid, algorithm } = row
      const was = before.find(({ verifyUntil: end }) => end === null)
      const record = { actor, action: 'signing-key.rotate', tenantId: null, after: { kid, algorithm } }
      await recordAudit(tx, { ...record, ...(was && { before: { kid: was.kid, algorithm: was.algorithm } }) })
      return { row, seq: await recordChange(tx, { kind: 'signing-key', tenantId: null, subjectId: kid }) }
    })
    await this.reload()
    return { result: recordOf(row), seq }
  }

  /** Another replica may have made the key a moment ago, and signed with it before the change reached this one. */
  #findNew(kid: string): undefined | Promise<VerificationKey | undefined> {
    if (ownerOfKid(this.#parts.vault.service, kid) !== null) return undefined
    const now = Date.now()
    if (now - (this.#missing.get(kid) ?? 0) < RETRY_MS) return undefined
    this.#missing.set(kid, now)
    return this.#reloads.run('', () => this.reload()).then(() => this.#byKid.get(kid))
  }

  #begin(): number {
    this.#begun += 1
    return this.#begun
  }

  async #adopt(rows: readonly KeyRow[], turn: number): Promise<void> {
    const keys = await Promise.all(rows.map((row) => openKeyRow(this.#parts.vault.service, row, null)))
    // A slow read must not replace the result of a later one.
    if (turn < this.#adopted) return
    this.#adopted = turn
    this.#byKid = new Map(keys.map((key) => [key.kid, key]))
    this.#current = keys.find((key) => key.verifyUntil === null)
  }

  async #insert(tx: CatalogTx): Promise<KeyRow> {
    const { service } = this.#parts.vault
    const kid = makeKid(service, null)
    const values = await makeKeyRow(service, { tenantId: null, kid, algorithm: 'EdDSA' })
    const [row] = await tx.insert(signingKeys).values(values).returning()
    if (!row) throw new Error('the signing key was not stored')
    return row
  }
}

const OURS = isNull(signingKeys.tenantId)

async function lockKeys(tx: CatalogTx): Promise<void> {
  await tx.execute(sql`select pg_advisory_xact_lock(${SERVICE_KEY_LOCK}::bigint)`)
}

function selectKeys(db: Pick<CatalogTx, 'select'>): Promise<KeyRow[]> {
  const living = or(isNull(signingKeys.verifyUntil), gt(signingKeys.verifyUntil, sql`now()`))
  return db
    .select()
    .from(signingKeys)
    .where(and(OURS, eq(signingKeys.algorithm, 'EdDSA'), living))
    .orderBy(desc(signingKeys.id))
}
