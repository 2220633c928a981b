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

/** A person of a tenant, with what the access token said. */
export interface UserPrincipal {
  readonly kind: 'user'
  readonly userId: string
  readonly tenantId: string
  readonly tenantCode: string
  readonly permissions: PermissionSet
  readonly roles: readonly string[]
  /** The token's `jti`. */
  readonly tokenId: string
  /** The user's generation when the token was given out; null where the tenant signed it itself and did not say. */
  readonly generation: number | null
}

/**
 * A person in one tenant whose token does not carry our permissions: an account that belongs to several tenants, or a person
 * of a trusted issuer. The tenant defines what their roles permit.
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

/** Who calls with a tenant's credential. */
export type TenantPrincipal = UserPrincipal | MemberPrincipal | ClientKeyPrincipal

/** Who calls. Always frozen: one object may serve many requests. */
export type Principal = OperatorPrincipal | TenantPrincipal

/** What the token of an account says. The request picks one of the account's tenants. */
export interface AccountIdentity {
  readonly kind: 'account-token'
  readonly accountId: string
  /** Names of roles by the id of the tenant in which they count. */
  readonly authorization: ReadonlyMap<string, readonly string[]>
  /** Roles that count in each of these tenants. */
  readonly roles: readonly string[]
  readonly tokenId: string
  readonly generation: number
}

/** What the names of tenants in an issuer's tokens are: ids and codes of ours, or ids of its own that tenants have listed. */
export type TenantBy = 'code' | 'externalId'

/** What the token of a trusted issuer says. */
export interface ExternalIdentity {
  readonly kind: 'external-token'
  /** The claim `iss`. */
  readonly issuer: string
  /** The entry of the settings that the issuer fits: the same text, or a template. External ids are listed under it. */
  readonly entry: string
  readonly subject: string
  /** At least one, as the token has them. */
  readonly tenants: readonly string[]
  readonly tenantBy: TenantBy
  /** Permissions that the token carries itself; besides those that the roles mean in the tenant. */
  readonly permissions: PermissionSet
  readonly roles: readonly string[]
}

/** The token does not carry permissions of one tenant. `TenantResolver` makes it a principal of one. */
export type UnresolvedIdentity = AccountIdentity | ExternalIdentity

/** What a verified access token says. A user is a principal already. */
export type TokenIdentity = UserPrincipal | UnresolvedIdentity
