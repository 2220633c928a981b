import { randomBytes } from 'node:crypto'
import { type CryptoKey, exportJWK, generateKeyPair, importJWK, type JWK } from 'jose'
import type { signingKeys } from '../../catalog/schema.ts'
import type { Binding } from '../../crypto/envelope.ts'
import type { DataKey } from '../../crypto/keyring.ts'
import { newId } from '../../lib/ids.ts'
import type { KeyOwner, KeyRecord, PublicJwk, SigningAlgorithm, SigningKey } from './signing-key.ts'

export type KeyRow = typeof signingKeys.$inferSelect

/** The fields of a JWK that belong to each algorithm. */
const KINDS: Readonly<Record<SigningAlgorithm, { readonly kty: string; readonly crv?: string }>> = {
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
  ES256: { kty: 'EC', crv: 'P-256' },
  HS256: { kty: 'oct' },
}
const SECRET_BYTES = 32

/** The row of a new key. `secret` is for HS256 only, and random by default. */
export async function makeKeyRow(
  dataKey: DataKey,
  key: { tenantId: string | null; kid: string; algorithm: SigningAlgorithm; secret?: Buffer | undefined },
): Promise<typeof signingKeys.$inferInsert> {
  const { tenantId, kid, algorithm, secret = randomBytes(SECRET_BYTES) } = key
  const rowKey = { id: newId(), rowVersion: 1, tenantId }
  const jwk =
    algorithm === 'HS256' ? { kty: 'oct', k: secret.toString('base64url') } : await makePair(algorithm)
  const sealedPrivateKey = dataKey.seal('signing-key', JSON.stringify(jwk), bindingOf(rowKey))
  return { ...rowKey, kid, algorithm, sealedPrivateKey, publicJwk: publicHalf(jwk) }
}

/**
 * Opens a stored key. The public half is taken from the sealed private one: `public_jwk` is not sealed,
 * and a person who could write it would otherwise choose who may sign. The algorithm is not sealed either, so the key must fit.
 */
export async function openKeyRow(dataKey: DataKey, row: KeyRow, owner: KeyOwner | null): Promise<SigningKey> {
  const { kid, algorithm, createdAt } = row
  const opened = dataKey.open('signing-key', row.sealedPrivateKey, bindingOf(row))
  const jwk = JSON.parse(opened.toString('utf8')) as JWK
  const { kty, crv } = KINDS[algorithm]
  if (jwk.kty !== kty || jwk.crv !== crv) throw new TypeError('the signing key is not for its algorithm')
  const half = publicHalf(jwk)
  const key = half === null ? await importSecret(jwk.k ?? '') : await importAsymmetric(half, algorithm)
  return Object.freeze({
    ...{ kid, owner, algorithm, key, createdAt },
    privateKey: half === null ? key : await importAsymmetric(jwk, algorithm),
    publicJwk: half && Object.freeze({ ...half, kid, use: 'sig', alg: algorithm }),
    verifyUntil: row.verifyUntil?.getTime() ?? null,
  })
}

export function recordOf({ kid, algorithm, createdAt }: Pick<KeyRow, keyof KeyRecord>): KeyRecord {
  return { kid, algorithm, createdAt: createdAt.toISOString() }
}

/** The public parts of the keys that still verify tokens. */
export function publicKeysOf(keys: Iterable<SigningKey>, now: number): { keys: PublicJwk[] } {
  const valid = [...keys].filter(({ verifyUntil }) => verifyUntil === null || verifyUntil > now)
  return { keys: valid.flatMap(({ publicJwk }) => (publicJwk === null ? [] : [publicJwk])) }
}

function bindingOf({ id, rowVersion = 0, tenantId = null }: Partial<KeyRow> & { id: string }): Binding {
  return { table: 'signing_keys', column: 'sealed_private_key', tenantId, rowId: id, rowVersion }
}

/** Lists the public fields, so that no other field of a private key is published. */
function publicHalf({ kty, crv, x, y }: JWK): PublicJwk | null {
  if (kty === undefined || kty === 'oct' || crv === undefined || x === undefined) return null
  return { kty, crv, x, ...(y !== undefined && { y }) }
}

async function makePair(algorithm: SigningAlgorithm): Promise<JWK> {
  const { privateKey } = await generateKeyPair(algorithm, { extractable: true })
  return exportJWK(privateKey)
}

async function importAsymmetric(jwk: JWK, algorithm: string): Promise<CryptoKey> {
  const key = await importJWK(jwk, algorithm)
  if (key instanceof Uint8Array) throw new TypeError('a symmetric key was found instead of a key pair')
  return key
}

function importSecret(k: string): Promise<CryptoKey> {
  const secret = Buffer.from(k, 'base64url')
  if (secret.length < SECRET_BYTES) throw new TypeError('the shared secret is too short')
  return crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
}
