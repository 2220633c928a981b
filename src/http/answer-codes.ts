import type { RouteOptions } from 'fastify'
import type { ErrorCode } from '../errors.ts'
import type { Access } from './access.ts'

/** Codes that the gates of an access refuse with, under the name that the document gives to them together. */
export interface Refusals {
  readonly name: string
  readonly codes: readonly ErrorCode[]
}

const ALWAYS: readonly ErrorCode[] = ['VALIDATION_FAILED', 'INTERNAL_ERROR']
const BODY: readonly ErrorCode[] = ['MALFORMED_JSON', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE']

const SERVING: Refusals = { name: 'serving', codes: ['SHUTTING_DOWN', 'CATALOG_UNAVAILABLE'] }
const COUNTED: Refusals = { name: 'counted', codes: ['RATE_LIMITED'] }
const CREDENTIAL: Refusals = {
  name: 'credential',
  codes: [
    'UNAUTHENTICATED',
    'TOKEN_EXPIRED',
    'TOKEN_INVALID',
    'INVALID_CREDENTIALS',
    'PERMISSION_DENIED',
    'NO_CONNECTION_AVAILABLE',
  ],
}
const OPERATOR: Refusals = { name: 'operator', codes: ['OPERATOR_REQUIRED'] }
const TENANT: Refusals = {
  name: 'tenant',
  codes: [
    'TENANT_AMBIGUOUS',
    'CROSS_TENANT_ACCESS',
    'TENANT_NOT_FOUND',
    'TENANT_DATABASE_PENDING',
    'TENANT_DATABASE_UNAVAILABLE',
    'TENANT_SCHEMA_OUT_OF_DATE',
  ],
}

/** What the gates of an access refuse with. A later entry stands for what its holders have passed before. */
export function refusalsOf(access: Access | undefined): readonly Refusals[] {
  if (access?.kind === 'tenant' || access?.kind === 'either') return [SERVING, COUNTED, CREDENTIAL, TENANT]
  if (access?.kind === 'operator') return [SERVING, COUNTED, CREDENTIAL, OPERATOR]
  if (access?.probe === true) return []
  return access?.counted === true ? [SERVING, COUNTED] : [SERVING]
}

/** Every code that a route may answer: from its gates, from its schemas, and those that it declares. */
export function codesOf(route: RouteOptions): ReadonlySet<ErrorCode> {
  const { config, schema, url } = route
  const isOpen = config?.access?.kind === 'open'
  return new Set<ErrorCode>([
    ...ALWAYS,
    ...refusalsOf(config?.access).flatMap(({ codes }) => codes),
    ...(!isOpen && url.includes('/tenants/:id') ? (['TENANT_NOT_FOUND'] as const) : []),
    ...(/:(?!id\b)|(?<!\/tenants\/):id/.test(url) ? (['NOT_FOUND'] as const) : []),
    // Also where the route takes no body: a body that is sent is read and checked.
    ...(route.method === 'GET' ? [] : BODY),
    ...(route.method === 'GET' || isOpen ? [] : (['OUTCOME_UNKNOWN'] as const)),
    ...(hasField(schema?.querystring, 'cursor') ? (['INVALID_CURSOR'] as const) : []),
    ...(hasField(schema?.headers, 'idempotency-key') ? (['IDEMPOTENCY_MISMATCH', 'CONFLICT'] as const) : []),
    ...(config?.document?.codes ?? []),
  ])
}

/** Whether requests are counted, so that each answer tells how many are left. */
export function isCounted(access: Access | undefined): boolean {
  return access !== undefined && (access.kind !== 'open' || access.counted === true)
}

/** Whether a schema of an object declares a field. */
export function hasField(schema: unknown, name: string): boolean {
  const { properties = {} } = (schema ?? {}) as { properties?: object }
  return name in properties
}

/** What is wrong when a tenant's database is asked, as endpoints declare that ask it without a tenant's credential. */
export const TENANT_DATABASE_CODES = [
  'TENANT_DATABASE_PENDING',
  'TENANT_DATABASE_UNAVAILABLE',
  'TENANT_SCHEMA_OUT_OF_DATE',
  'NO_CONNECTION_AVAILABLE',
] as const satisfies readonly ErrorCode[]
