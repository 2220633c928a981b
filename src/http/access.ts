import type {} from 'fastify'

/**
 * Who may call a route. `permission: null` allows every caller of the tenant. A `probe` answers also while draining. `counted`
 * requests are limited by the caller's address. `either` is for operators and for tenants; each sees its own part.
 */
export type Access =
  | { readonly kind: 'open'; readonly probe?: boolean; readonly counted?: boolean }
  | { readonly kind: 'operator'; readonly write: boolean }
  | { readonly kind: 'tenant'; readonly permission: string | null }
  | { readonly kind: 'either'; readonly permission: string }

/** Every operator may call the first kind of route. The second kind needs an operator who may change data. */
export const OPERATOR_READ = { kind: 'operator', write: false } as const satisfies Access
export const OPERATOR_WRITE = { kind: 'operator', write: true } as const satisfies Access

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
}
