import type { CryptoKey, JWTPayload } from 'jose'

export type SigningAlgorithm = 'EdDSA' | 'ES256' | 'HS256'

/** The tenant whose own key it is. */
export interface KeyOwner {
  readonly tenantId: string
  readonly tenantCode: string
}

/** Verifies tokens of one tenant, or, the service's own (no owner), of those without a key. */
export interface VerificationKey {
  readonly kid: string
  readonly owner: KeyOwner | null
  /** Belongs to the key: what a token's header says is only compared with it. */
  readonly algorithm: SigningAlgorithm
  readonly key: CryptoKey
  /** Milliseconds since 1970, or null for a key in use. */
  readonly verifyUntil: number | null
}

/** A key that also signs, and what of it may be published: nothing of a shared secret. */
export interface SigningKey extends VerificationKey {
  readonly privateKey: CryptoKey
  readonly publicJwk: PublicJwk | null
  readonly createdAt: Date
}

/** A public key as RFC 7517 writes it. */
export type PublicJwk = Readonly<Record<string, string>>

/** What `AccessTokens` needs of the keys. */
export interface TokenKeys {
  /** Signs with the tenant's own key if it has one. Otherwise, and without a tenant, with the service's key. */
  sign(payload: JWTPayload, tenantId: string | null): Promise<string>
  /** Has the tenant's key at hand, if it has one, so that `sign` need not wait for it. */
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
