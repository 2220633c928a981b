import type { PermissionSet } from './permissions.ts'

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
}

/** A program of a tenant. */
export interface ClientKeyPrincipal {
  readonly kind: 'client-key'
  readonly keyId: string
  readonly tenantId: string
  readonly permissions: PermissionSet
}

/** Who calls. Always frozen: one object may serve many requests. */
export type Principal = OperatorPrincipal | UserPrincipal | ClientKeyPrincipal
