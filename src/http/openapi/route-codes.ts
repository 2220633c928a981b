import type { RouteOptions } from 'fastify'
import type { ErrorCode } from '../../errors.ts'
import type { Access } from '../access.ts'

type Codes = readonly ErrorCode[]

const ALWAYS: Codes = ['VALIDATION_FAILED', 'INTERNAL_ERROR']
const SERVING: Codes = ['SHUTTING_DOWN', 'CATALOG_UNAVAILABLE']
const CREDENTIAL: Codes = [
  ...SERVING,
  'UNAUTHENTICATED',
  'TOKEN_EXPIRED',
  'TOKEN_INVALID',
  'INVALID_CREDENTIALS',
  'PERMISSION_DENIED',
  'RATE_LIMITED',
  'NO_CONNECTION_AVAILABLE',
]
const TENANT: Codes = [
  ...CREDENTIAL,
  'TENANT_AMBIGUOUS',
  'CROSS_TENANT_ACCESS',
  'TENANT_NOT_FOUND',
  'TENANT_DATABASE_PENDING',
  'TENANT_DATABASE_UNAVAILABLE',
  'TENANT_SCHEMA_OUT_OF_DATE',
]
const BODY: Codes = ['MALFORMED_JSON', 'PAYLOAD_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE']

/** Every code a route may answer: what its gates refuse, what its parts can get wrong, and what it says of itself. */
export function codesOf(route: RouteOptions): ReadonlySet<ErrorCode> {
  const { config, schema, url } = route
  return new Set<ErrorCode>([
    ...ALWAYS,
    ...ofAccess(config?.access),
    ...(config?.access?.kind !== 'open' && url.includes('/tenants/:id')
      ? (['TENANT_NOT_FOUND'] as const)
      : []),
    ...(/:(?!id\b)|(?<!\/tenants\/):id/.test(url) ? (['NOT_FOUND'] as const) : []),
    // Also where no body is asked for: what is sent all the same is read, and judged.
    ...(route.method === 'GET' ? [] : BODY),
    ...(route.method === 'GET' || config?.access?.kind === 'open' ? [] : (['OUTCOME_UNKNOWN'] as const)),
    ...(named(schema?.querystring, 'cursor') ? (['INVALID_CURSOR'] as const) : []),
    ...(named(schema?.headers, 'idempotency-key') ? (['IDEMPOTENCY_MISMATCH', 'CONFLICT'] as const) : []),
    ...(config?.document?.codes ?? []),
  ])
}

function ofAccess(access: Access | undefined): Codes {
  if (access?.kind === 'tenant') return TENANT
  if (access?.kind === 'operator') return [...CREDENTIAL, 'OPERATOR_REQUIRED']
  if (access?.kind === 'either') return TENANT
  if (access?.probe === true) return []
  return access?.counted === true ? [...SERVING, 'RATE_LIMITED'] : SERVING
}

/** Whether requests are counted, so that every answer says how many are left. */
export function isCounted(access: Access | undefined): boolean {
  return access !== undefined && (access.kind !== 'open' || access.counted === true)
}

/** Whether the document shows a body. One that must be empty is no body to those who read it. */
export function takesBody({ schema, config }: RouteOptions): boolean {
  if (config?.document?.requestContent !== undefined) return true
  const { properties = {} } = (schema?.body ?? {}) as { properties?: object }
  return schema?.body !== undefined && !(mayBeLeftOut(schema.body) && Object.keys(properties).length === 0)
}

/** A body that is not there is validated as null. */
export function mayBeLeftOut(body: unknown): boolean {
  const { type } = (body ?? {}) as { type?: unknown }
  return Array.isArray(type) && type.includes('null')
}

function named(schema: unknown, name: string): boolean {
  const { properties = {} } = (schema ?? {}) as { properties?: object }
  return name in properties
}
