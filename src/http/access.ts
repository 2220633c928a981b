import type {} from 'fastify'

/**
 * Who may call a route. `permission: null` is anybody of the tenant; `probe` answers also while draining; `counted` is
 * bounded by the caller's address; `either` is a path that operators and tenants share, each seeing their part.
 */
export type Access =
  | { readonly kind: 'open'; readonly probe?: boolean; readonly counted?: boolean }
  | { readonly kind: 'operator'; readonly write: boolean }
  | { readonly kind: 'tenant'; readonly permission: string | null }
  | { readonly kind: 'either'; readonly permission: string }

/** An operator who may only read, and one who may change. */
export const OPERATOR_READ = { kind: 'operator', write: false } as const satisfies Access
export const OPERATOR_WRITE = { kind: 'operator', write: true } as const satisfies Access

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
}
