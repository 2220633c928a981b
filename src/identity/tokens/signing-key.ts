import type { CryptoKey, JWTPayload } from 'jose'

export type SigningAlgorithm = 'EdDSA' | 'ES256' | 'HS256'

/** The tenant that owns a key. */
export interface KeyOwner {
  readonly tenantId: string
  readonly tenantCode: string
}

/** A key of one tenant, for its tokens; or a key of the service (no owner), for tenants without a key of their own. */
export interface VerificationKey {
  readonly kid: string
  readonly owner: KeyOwner | null
  /** The key decides the algorithm. A token's header must have the same. */
  readonly algorithm: SigningAlgorithm
  readonly key: CryptoKey
  /** Milliseconds since 1970. Null for the key that signs. */
  readonly verifyUntil: number | null
}

/** A key that also signs, and its public part. A shared secret has no public part. */
export interface SigningKey extends VerificationKey {
  readonly privateKey: CryptoKey
  readonly publicJwk: PublicJwk | null
  readonly createdAt: Date
}

/** A public key as RFC 7517 writes it. */
export type PublicJwk = Readonly<Record<string, string>>

/** The keys as `AccessTokens` uses them. */
export interface TokenKeys {
  /** Signs with the tenant's own key if it has one. Otherwise, and without a tenant, with the service's key. */
  sign(payload: JWTPayload, tenantId: string | null): Promise<string>
  /** Loads the tenant's key, if it has one, so that `sign` need not wait for it. */
  prepare(tenantId: string): Promise<void>
  find(kid: string): VerificationKey | undefined | Promise<VerificationKey | undefined>
}

/** A signing key as operators see it. */
export interface KeyRecord {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly createdAt: string
}

export const TOKEN_TYPE = 'at+jwt'
