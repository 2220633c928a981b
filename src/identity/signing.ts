import { and, desc, eq, isNull, sql } from 'drizzle-orm'
import {
  type CryptoKey,
  calculateJwkThumbprint,
  exportJWK,
  generateKeyPair,
  importJWK,
  type JWTPayload,
  SignJWT,
} from 'jose'
import { signingKeys } from '../catalog/schema.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from '../catalog/store.ts'
import type { Binding } from '../crypto/envelope.ts'
import type { DataKey } from '../crypto/keyring.ts'
import { newId } from '../lib/ids.ts'

export type SigningAlgorithm = 'EdDSA' | 'ES256' | 'HS256'

/** Verifies tokens of one tenant, or, the service's own (`tenantId: null`), of those without a key. */
export interface VerificationKey {
  readonly kid: string
  readonly tenantId: string | null
  /** Belongs to the key: what a token's header says is only compared with it. */
  readonly algorithm: SigningAlgorithm
  readonly key: CryptoKey
  /** Milliseconds since 1970, or null for a key in use. */
  readonly verifyUntil: number | null
}

/** A public key as RFC 7517 writes it. */
export type PublicJwk = Readonly<Record<string, string>>

/** What `AccessTokens` needs of the keys. */
export interface TokenKeys {
  /** Signs with the tenant's own key if it has one, else with the service's. */
  sign(payload: JWTPayload, tenantId: string): Promise<string>
  find(kid: string): VerificationKey | undefined | Promise<VerificationKey | undefined>
}

export const TOKEN_TYPE = 'at+jwt'

export interface SigningKeysParts {
  readonly store: CatalogStore
  /** The vault, after `init`. */
  readonly vault: { readonly service: DataKey }
}

interface ServiceKey extends VerificationKey {
  readonly privateKey: CryptoKey
  readonly publicJwk: PublicJwk
}

interface Ed25519PrivateJwk {
  readonly kty: 'OKP'
  readonly crv: 'Ed25519'
  readonly x: string
  readonly d: string
}

type KeyRow = typeof signingKeys.$inferSelect

// Any number will do, as long as nothing else locks it: 'fhsk' in ASCII.
const SERVICE_KEY_LOCK = 0x6668736b

/**
 * The keys that sign access tokens, in memory after `init`. Looking one up never asks the catalog, so a forged
 * `kid` costs nothing; keys made elsewhere arrive through `reload` on a `signing-key` change.
 */
export class SigningKeys implements TokenKeys {
  readonly #parts: SigningKeysParts
  #byKid: ReadonlyMap<string, ServiceKey> = new Map()
  #current: ServiceKey | undefined

  constructor(parts: SigningKeysParts) {
    this.#parts = parts
  }

  /** Reads the service's keys, and makes the first one where there is none: once, however many replicas start. */
  async init(): Promise<void> {
    await this.#parts.store.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${SERVICE_KEY_LOCK}::bigint)`)
      const rows = await selectServiceKeys(tx)
      if (!rows.some((row) => row.verifyUntil === null)) rows.unshift(await this.#insertServiceKey(tx))
      await this.#adopt(rows)
    })
  }

  /** Reads the service's keys again. */
  async reload(): Promise<void> {
    await this.#adopt(await catalogErrors(selectServiceKeys(this.#parts.store.db)))
  }

  find(kid: string): VerificationKey | undefined {
    return this.#byKid.get(kid)
  }

  async sign(payload: JWTPayload, _tenantId: string): Promise<string> {
    const key = this.#current
    if (!key) throw new Error('the signing keys are not open yet')
    return new SignJWT(payload)
      .setProtectedHeader({ alg: key.algorithm, kid: key.kid, typ: TOKEN_TYPE })
      .sign(key.privateKey)
  }

  /** The public keys, for `/.well-known/jwks.json`. */
  jwks(): { keys: PublicJwk[] } {
    return { keys: [...this.#byKid.values()].map((key) => key.publicJwk) }
  }

  async #adopt(rows: readonly KeyRow[]): Promise<void> {
    const keys = await Promise.all(rows.map((row) => this.#open(row)))
    this.#byKid = new Map(keys.map((key) => [key.kid, key]))
    this.#current = keys.find((key) => key.verifyUntil === null)
  }

  /**
   * The public half is taken from the sealed private one: `public_jwk` stands in clear, and whoever could write
   * it there would otherwise choose who may sign.
   */
  async #open(row: KeyRow): Promise<ServiceKey> {
    const opened = this.#parts.vault.service.open('signing-key', row.sealedPrivateKey, bindingOf(row))
    const privateJwk = JSON.parse(opened.toString('utf8')) as Ed25519PrivateJwk
    const { kty, crv, x } = privateJwk
    return {
      kid: row.kid,
      tenantId: null,
      algorithm: row.algorithm,
      key: await importAsymmetric({ kty, crv, x }, row.algorithm),
      privateKey: await importAsymmetric(privateJwk, row.algorithm),
      publicJwk: Object.freeze({ kty, crv, x, kid: row.kid, use: 'sig', alg: row.algorithm }),
      verifyUntil: row.verifyUntil?.getTime() ?? null,
    }
  }

  async #insertServiceKey(tx: CatalogTx): Promise<KeyRow> {
    const { privateJwk, publicJwk, kid } = await makeEd25519()
    const place = { id: newId(), rowVersion: 1 }
    const sealedPrivateKey = this.#parts.vault.service.seal(
      'signing-key',
      JSON.stringify(privateJwk),
      bindingOf(place),
    )
    const [row] = await tx
      .insert(signingKeys)
      .values({ ...place, tenantId: null, kid, algorithm: 'EdDSA', sealedPrivateKey, publicJwk })
      .returning()
    if (!row) throw new Error('the signing key was not stored')
    return row
  }
}

function selectServiceKeys(db: Pick<CatalogTx, 'select'>): Promise<KeyRow[]> {
  return db
    .select()
    .from(signingKeys)
    .where(
      and(
        isNull(signingKeys.tenantId),
        eq(signingKeys.algorithm, 'EdDSA'),
        sql`(${signingKeys.verifyUntil} is null or ${signingKeys.verifyUntil} > now())`,
      ),
    )
    .orderBy(desc(signingKeys.id))
}

function bindingOf({ id, rowVersion }: { id: string; rowVersion: number }): Binding {
  return { table: 'signing_keys', column: 'sealed_private_key', tenantId: null, rowId: id, rowVersion }
}

async function makeEd25519() {
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519', extractable: true })
  const privateJwk = await exportJWK(pair.privateKey)
  const publicJwk = await exportJWK(pair.publicKey)
  return { privateJwk, publicJwk: { ...publicJwk }, kid: await calculateJwkThumbprint(publicJwk) }
}

async function importAsymmetric(jwk: Parameters<typeof importJWK>[0], algorithm: string): Promise<CryptoKey> {
  const key = await importJWK(jwk, algorithm)
  if (key instanceof Uint8Array) throw new TypeError('a symmetric key stands where a key pair belongs')
  return key
}
