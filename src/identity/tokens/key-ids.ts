import { randomBytes, timingSafeEqual } from 'node:crypto'
import type { DataKey } from '../../crypto/keyring.ts'
import { isCanonicalBase64Url } from '../../lib/base64url.ts'
import { uuidBytes, uuidText } from '../../lib/ids.ts'

/**
 * Names of keys: `s.<random>.<proof>` for the service's keys, `t.<tenant>.<random>.<proof>` for a tenant's. The proof is a MAC of
 * the rest with the service's data key, so that an invented name causes no look-up.
 */
const FORM = /^(s|t\.[A-Za-z0-9_-]{22})\.[A-Za-z0-9_-]{12}\.([A-Za-z0-9_-]{11})$/
const RANDOM_BYTES = 9
const PROOF_BYTES = 8
const PROOF_LENGTH = 11

/** A new name, for a key of the tenant or (null) of the service. */
export function makeKid(dataKey: DataKey, tenantId: string | null): string {
  const kind = tenantId === null ? 's' : `t.${uuidBytes(tenantId).toString('base64url')}`
  const rest = `${kind}.${randomBytes(RANDOM_BYTES).toString('base64url')}`
  return `${rest}.${proofOf(dataKey, rest).toString('base64url')}`
}

/** The owner of the key with this name (null: the service). Undefined if we did not issue the name. The key may be deleted. */
export function ownerOfKid(dataKey: DataKey, kid: string): string | null | undefined {
  const [, kind, proof] = FORM.exec(kid) ?? []
  if (kind === undefined || proof === undefined) return undefined
  if (!isCanonicalBase64Url(proof)) return undefined
  if (!timingSafeEqual(Buffer.from(proof, 'base64url'), proofOf(dataKey, restOf(kid)))) return undefined
  return kind === 's' ? null : uuidText(Buffer.from(kind.slice(2), 'base64url'))
}

function restOf(kid: string): string {
  return kid.slice(0, -PROOF_LENGTH - 1)
}

function proofOf(dataKey: DataKey, rest: string): Buffer {
  return dataKey.mac('signing-key', `kid ${rest}`).subarray(0, PROOF_BYTES)
}
