import type { PermissionSet } from '../access/permissions.ts'

export type OperatorRole = 'admin' | 'viewer'

/** Runs the service. A viewer only reads. */
export interface OperatorPrincipal {
  readonly kind: 'operator'
  /** The row's id, or `bootstrap`. */
  readonly id: string
  readonly name: string
  readonly role: OperatorRole
}

/** A person of a tenant, with the claims of the access token. */
export interface UserPrincipal {
  readonly kind: 'user'
  readonly userId: string
  readonly tenantId: string
  readonly tenantCode: string
  readonly permissions: PermissionSet
  readonly roles: readonly string[]
  /** The token's `jti`. */
  readonly tokenId: string
  /** The user's generation when the token was issued. Null if the tenant signed the token and did not set it. */
  readonly generation: number | null
}

/**
 * A person in one tenant whose token does not contain our permissions: an account that belongs to several tenants, or a person
 * of a trusted issuer. The tenant defines what the person's roles permit.
 */
export interface MemberPrincipal {
  readonly kind: 'account' | 'external'
  /** The account's id, or `issuer|subject`. */
  readonly subject: string
  readonly tenantId: string
  readonly tenantCode: string
  readonly permissions: PermissionSet
  readonly roles: readonly string[]
}

/** A program of a tenant. */
export interface ClientKeyPrincipal {
  readonly kind: 'client-key'
  readonly keyId: string
  readonly tenantId: string
  readonly permissions: PermissionSet
}

/** A caller with a tenant's credential. */
export type TenantPrincipal = UserPrincipal | MemberPrincipal | ClientKeyPrincipal

/** The caller of a request. Always frozen, because many requests may share one object. */
export type Principal = OperatorPrincipal | TenantPrincipal

/** The claims of an account's token. The request chooses one of the account's tenants. */
export interface AccountIdentity {
  readonly kind: 'account-token'
  readonly accountId: string
  /** Names of roles, by the id of the tenant in which they are valid. */
  readonly authorization: ReadonlyMap<string, readonly string[]>
  /** Roles that are valid in each of these tenants. */
  readonly roles: readonly string[]
  readonly tokenId: string
  readonly generation: number
}

/** What an issuer's tokens name tenants by: our ids and codes, or ids of the issuer that tenants have listed. */
export type TenantBy = 'code' | 'externalId'

/** The claims of a trusted issuer's token. */
export interface ExternalIdentity {
  readonly kind: 'external-token'
  /** The claim `iss`. */
  readonly issuer: string
  /** The entry of the settings that matches the issuer: the same text, or a template. External ids are listed under it. */
  readonly entry: string
  readonly subject: string
  /** At least one, as the token has them. */
  readonly tenants: readonly string[]
  readonly tenantBy: TenantBy
  /** The permissions in the token itself. The roles in the tenant add more. */
  readonly permissions: PermissionSet
  readonly roles: readonly string[]
}

/** An identity without a tenant. `TenantResolver` makes it a principal of one tenant. */
export type UnresolvedIdentity = AccountIdentity | ExternalIdentity

/** The identity in a verified access token. A user is already a principal. */
export type TokenIdentity = UserPrincipal | UnresolvedIdentity
