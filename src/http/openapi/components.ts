/** The parts of the document that many routes share. Nothing here is of any one route. */
import type { ErrorEntry } from '../../errors.ts'
import type { Access } from '../access.ts'
import { problemSchema } from '../schemas.ts'
import type { AnswerHeader, RequestHeader } from './route-document.ts'

const text = { type: 'string' } as const
const whole = { type: 'integer', minimum: 0 } as const

const SECURITY_SCHEMES = {
  tenantToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      "A tenant user's access token, from `POST /api/v1/auth/login`, or signed with the tenant's own key. " +
      '`X-Tenant-Code` may stand beside it and must then be its tenant.',
  },
  accountToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'The token of an account, from `POST /api/v1/auth/accounts/login`. Where the account has several tenants, ' +
      '`X-Tenant-Code` picks one.',
  },
  externalToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'A token of an issuer that this gateway trusts. It names its tenant itself; `X-Tenant-Code` may confirm it.',
  },
  operatorToken: {
    type: 'http',
    scheme: 'bearer',
    description: 'An operator token, `fho_…`, or the bootstrap token.',
  },
  clientKey: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Client-Key',
    description: "A key of a tenant's program, `fhk_…`; the tenant's code must stand beside it.",
  },
  tenantCode: {
    type: 'apiKey',
    in: 'header',
    name: 'X-Tenant-Code',
    description: "The tenant's code: the one that the client key belongs to, or one of the account's.",
  },
}

type Security = Readonly<Record<string, readonly string[]>>
const AS_TENANT: readonly Security[] = [
  { tenantToken: [] },
  { accountToken: [] },
  { accountToken: [], tenantCode: [] },
  { externalToken: [] },
  { clientKey: [], tenantCode: [] },
]
const AS_OPERATOR: Security = { operatorToken: [] }

/** The credentials that a route takes: one of the list. */
export function securityOf(access: Access | undefined): readonly Security[] {
  if (access?.kind === 'tenant') return AS_TENANT
  if (access?.kind === 'operator') return [AS_OPERATOR]
  if (access?.kind === 'either') return [...AS_TENANT, AS_OPERATOR]
  return []
}

const header = (description: string, schema: object, example: string | number) => ({
  description,
  schema,
  example,
})

const HEADERS = {
  'x-request-id': header("The request's id: the caller's own, or a new one.", text, 'b1b4e0a2-request'),
  etag: header('The version of the row, for `If-Match` and `If-None-Match`.', text, '"5f2b…"'),
  location: header('Where the new row is.', text, '/api/v1/users/01900000-0000-7000-8000-000000000001'),
  link: header('The next page, `rel="next"`, if there is one.', text, '</api/v1/users?cursor=…>; rel="next"'),
  'accept-ranges': header('Ranges are served by bytes.', text, 'bytes'),
  'content-range': header('The part that is sent, of how much.', text, 'bytes 0-1023/4096'),
  'freehold-degraded': header("Set while the tenant's database is down.", text, 'tenant-database'),
  'freehold-effective': header(
    'How many of the live gateways apply the change: it is answered when all do, or after 5 seconds. Absent where nothing ' +
      'was taken away, and where it could not be counted.',
    text,
    'confirmed=2, replicas=2',
  ),
  'idempotency-replayed': header('Set when the answer is that of an earlier request.', text, 'true'),
  'cache-control': header('How long the keys may be kept.', text, 'public, max-age=300'),
  'www-authenticate': header(
    'What is asked for, and whether a token that was given is wrong.',
    text,
    'Bearer error="invalid_token"',
  ),
  'retry-after': header('Seconds to wait before the next try.', whole, 1),
  'ratelimit-limit': header('Requests in a window.', whole, 300_000),
  'ratelimit-remaining': header('Requests left in this window.', whole, 299_999),
  'ratelimit-reset': header('Seconds until the next window.', whole, 60),
}

export type HeaderName = AnswerHeader | keyof typeof HEADERS
export const RATE_HEADERS = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'] as const

/** Headers as an answer lists them, spelt as people write them. */
export function headerRefs(names: Iterable<HeaderName>): Record<string, object> {
  const spelt = [...names].map((name) => SPELLING[name] ?? capitalised(name))
  return Object.fromEntries(spelt.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

const SPELLING: Readonly<Record<string, string>> = {
  etag: 'ETag',
  'www-authenticate': 'WWW-Authenticate',
  'ratelimit-limit': 'RateLimit-Limit',
  'ratelimit-remaining': 'RateLimit-Remaining',
  'ratelimit-reset': 'RateLimit-Reset',
}

function capitalised(name: string): string {
  return name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => dash + letter.toUpperCase())
}

function parametersFor(actForHeader: string) {
  const inHeader = (name: string, description: string, example: string) => ({
    in: 'header',
    name,
    required: false,
    description,
    schema: text,
    example,
  })
  return {
    'act-for': inHeader(
      actForHeader,
      "The tenant to work in, by id or code: the caller's own, or one below it. Takes `accounts:act` and the path's " +
        'permission, both held at home.',
      'acme-north',
    ),
    'tenant-code': inHeader(
      'X-Tenant-Code',
      'The tenant again; must be the one in the body, or that of the refresh token.',
      'acme-corp',
    ),
    'request-id': inHeader('X-Request-Id', 'An id of the caller for this request.', 'import-42'),
    'if-match': inHeader('If-Match', 'Change the row only if it is one of these versions.', '"5f2b…"'),
    'if-none-match': inHeader('If-None-Match', 'Send the row only if it is none of these.', '"5f2b…"'),
    range: inHeader('Range', 'The part to send: one range of bytes.', 'bytes=0-1023'),
  }
}

export type ParameterName = RequestHeader | 'act-for' | 'request-id'

export function parameterRef(name: ParameterName): { readonly $ref: string } {
  return { $ref: `#/components/parameters/${name}` }
}

/** One example of each code there is, so that the document names them all. */
function problemExamples(errors: Readonly<Record<string, ErrorEntry>>): Record<string, object> {
  const examples = Object.entries(errors).map(([code, entry]) => [
    code,
    { summary: code, value: exampleProblem(code, entry) },
  ])
  return Object.fromEntries(examples)
}

function exampleProblem(code: string, { title, status }: ErrorEntry) {
  return {
    type: `urn:freehold:error:${code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: `${title}.`,
    instance: '/api/v1/users',
    code,
    requestId: 'b1b4e0a2-request',
    ...(code === 'PERMISSION_DENIED' && { required: 'users:write' }),
    ...(code === 'VALIDATION_FAILED' && { errors: [{ pointer: '/name', message: 'is required' }] }),
  }
}

/** Everything but schemas and responses, which the routes bring. */
export function sharedComponents(actForHeader: string, errors: Readonly<Record<string, ErrorEntry>>) {
  const headers = Object.fromEntries(
    Object.entries(HEADERS).map(([name, value]) => [SPELLING[name] ?? capitalised(name), value]),
  )
  return {
    securitySchemes: SECURITY_SCHEMES,
    headers,
    parameters: parametersFor(actForHeader),
    examples: problemExamples(errors),
    schemas: { Problem: { ...problemSchema(Object.keys(errors)) } },
  }
}
