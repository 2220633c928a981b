import type { RouteOptions } from 'fastify'
import type { ErrorCode } from '../errors.ts'
import type { Access } from './access.ts'

/** A group of codes with which gates refuse, and its name in the OpenAPI document. */
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

/** The codes with which the gates of an access refuse, in the order of the gates. */
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
    // Also for a route without a body: if the caller sends one, it is read and checked.
    ...(route.method === 'GET' ? [] : BODY),
    ...(route.method === 'GET' || isOpen ? [] : (['OUTCOME_UNKNOWN'] as const)),
    ...(hasField(schema?.querystring, 'cursor') ? (['INVALID_CURSOR'] as const) : []),
    ...(hasField(schema?.headers, 'idempotency-key') ? (['IDEMPOTENCY_MISMATCH', 'CONFLICT'] as const) : []),
    ...(config?.document?.codes ?? []),
  ])
}

/** True if requests are counted, so that each answer tells how many are left. */
export function isCounted(access: Access | undefined): boolean {
  return access !== undefined && (access.kind !== 'open' || access.counted === true)
}

/** True if the schema of an object declares the field. */
export function hasField(schema: unknown, name: string): boolean {
  const { properties = {} } = (schema ?? {}) as { properties?: object }
  return name in properties
}

/** Codes of operators' endpoints that query a tenant's database. The gates add them for a tenant's callers only. */
export const TENANT_DATABASE_CODES = [
  'TENANT_DATABASE_PENDING',
  'TENANT_DATABASE_UNAVAILABLE',
  'TENANT_SCHEMA_OUT_OF_DATE',
  'NO_CONNECTION_AVAILABLE',
] as const satisfies readonly ErrorCode[]
