/** The headers of answers and requests, as the document describes them. */

const text = { type: 'string' } as const
const count = { type: 'integer', minimum: 0 } as const

const header = (description: string, schema: object, example: string | number) => ({
  description,
  schema,
  example,
})

/** Headers of answers, by their names in lower case. */
export const ANSWER_HEADERS = {
  'x-request-id': header("The request's id: the caller's own, or a new one.", text, 'b1b4e0a2-request'),
  etag: header('The version of the row, for `If-Match` and `If-None-Match`.', text, '"5f2b…"'),
  location: header('The path of the new row.', text, '/api/v1/users/01900000-0000-7000-8000-000000000001'),
  link: header('The next page, `rel="next"`, if there is one.', text, '</api/v1/users?cursor=…>; rel="next"'),
  'accept-ranges': header('Ranges are served in bytes.', text, 'bytes'),
  'content-range': header('The range that is sent, and the length of the whole.', text, 'bytes 0-1023/4096'),
  'freehold-degraded': header("Set while the tenant's database is down.", text, 'tenant-database'),
  'freehold-effective': header(
    'How many gateways apply the change, of those that run. The gateway answers when all of them do, or after 5 seconds. ' +
      'Absent where nothing was revoked, and where the gateways could not be counted.',
    text,
    'confirmed=2, replicas=2',
  ),
  'idempotency-replayed': header('Set when this is the answer to an earlier request.', text, 'true'),
  'cache-control': header('How long the keys may be cached.', text, 'public, max-age=300'),
  'www-authenticate': header(
    'The scheme that is expected, and whether the given token is wrong.',
    text,
    'Bearer error="invalid_token"',
  ),
  'retry-after': header('Seconds to wait before the next attempt.', count, 1),
  'ratelimit-limit': header('Requests allowed in a window.', count, 300_000),
  'ratelimit-remaining': header('Requests left in this window.', count, 299_999),
  'ratelimit-reset': header('Seconds until the next window.', count, 60),
}

export type HeaderName = keyof typeof ANSWER_HEADERS

/** Headers that an endpoint adds to its own answer. */
export type AnswerHeader = Exclude<
  HeaderName,
  | 'x-request-id'
  | 'link'
  | 'idempotency-replayed'
  | 'www-authenticate'
  | 'retry-after'
  | `ratelimit-${string}`
>

const inHeader = (name: string, description: string, example: string) => ({
  in: 'header',
  name,
  required: false,
  description,
  schema: text,
  example,
})

/** Headers that an endpoint reads, beside those of its credentials. */
export type RequestHeader = 'tenant-code' | 'if-match' | 'if-none-match' | 'range'

/** All headers of requests that the document describes. */
export type ParameterName = RequestHeader | 'act-for' | 'request-id'

/** Headers of requests. The name of the act-for header is a setting. */
export function requestHeaders(actForHeader: string): Record<ParameterName, object> {
  return {
    'act-for': inHeader(
      actForHeader,
      "The tenant to work in, by id or code: the caller's own tenant, or one below it. The caller needs `accounts:act` and " +
        "the endpoint's permission, both in its own tenant.",
      'acme-north',
    ),
    'tenant-code': inHeader(
      'X-Tenant-Code',
      'The tenant again. It must be the tenant in the body, or the tenant of the refresh token.',
      'acme-corp',
    ),
    'request-id': inHeader('X-Request-Id', "The caller's id for this request.", 'import-42'),
    'if-match': inHeader('If-Match', 'Change the row only if it has one of these versions.', '"5f2b…"'),
    'if-none-match': inHeader(
      'If-None-Match',
      'Send the row only if it has none of these versions.',
      '"5f2b…"',
    ),
    range: inHeader('Range', 'The part to send: one range of bytes.', 'bytes=0-1023'),
  }
}
