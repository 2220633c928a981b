/**
 * Every error that a caller can see: status, public text and, if a retry helps, the seconds to wait. Messages of a database or a
 * library go to the log only.
 */
const TABLE = {
  VALIDATION_FAILED: { status: 400, title: 'The request is not valid' },
  MALFORMED_JSON: { status: 400, title: 'The body is not valid JSON' },
  INVALID_CURSOR: { status: 400, title: 'The cursor is not valid for this list' },
  TENANT_AMBIGUOUS: {
    status: 400,
    title: 'The request names more than one tenant, or none where one is needed',
  },
  UNAUTHENTICATED: { status: 401, title: 'Credentials are required' },
  TOKEN_EXPIRED: { status: 401, title: 'The access token has expired' },
  TOKEN_INVALID: { status: 401, title: 'The access token is not valid' },
  INVALID_CREDENTIALS: { status: 401, title: 'The credentials are not valid' },
  REFRESH_TOKEN_REUSED: { status: 401, title: 'The refresh token was used before' },
  PERMISSION_DENIED: { status: 403, title: 'The permission for this is missing' },
  CROSS_TENANT_ACCESS: { status: 403, title: 'The caller may not act for this account' },
  OPERATOR_REQUIRED: { status: 403, title: 'This path is for operators' },
  ACCOUNT_LOCKED: { status: 403, title: 'The account is locked for a while' },
  TENANT_NOT_FOUND: { status: 404, title: 'There is no such tenant' },
  NOT_FOUND: { status: 404, title: 'There is no such resource' },
  REFERENCE_NOT_FOUND: { status: 404, title: 'The body refers to a resource that does not exist' },
  TENANT_CODE_TAKEN: { status: 409, title: 'The tenant code is taken' },
  EXTERNAL_ID_TAKEN: { status: 409, title: 'The external id belongs to another tenant' },
  CONFLICT: { status: 409, title: 'The request conflicts with what exists' },
  DATABASE_IN_USE: { status: 409, title: "The tenant's data is in this database" },
  MOVE_IN_PROGRESS: { status: 409, title: 'The tenant is being moved' },
  RUN_IN_PROGRESS: { status: 409, title: 'A run of migrations is under way' },
  SERVER_IN_USE: { status: 409, title: "Tenants' databases are on this server" },
  WRONG_STATE: { status: 409, title: 'This cannot be done now' },
  IDEMPOTENCY_MISMATCH: { status: 409, title: 'The idempotency key was used for another request' },
  PRECONDITION_FAILED: { status: 412, title: 'The resource has changed' },
  PAYLOAD_TOO_LARGE: { status: 413, title: 'The body is too large' },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, title: 'The media type is not supported' },
  RANGE_NOT_SATISFIABLE: { status: 416, title: 'The range lies outside of the content' },
  PRECONDITION_REQUIRED: { status: 428, title: 'The request must be conditional' },
  RATE_LIMITED: { status: 429, title: 'Too many requests', retryAfterSeconds: 1 },
  INTERNAL_ERROR: { status: 500, title: 'Something went wrong on our side' },
  TENANT_DATABASE_PENDING: {
    status: 503,
    title: "The tenant's database is being prepared",
    retryAfterSeconds: 2,
  },
  TENANT_DATABASE_UNAVAILABLE: {
    status: 503,
    title: "The tenant's database is not available",
    retryAfterSeconds: 5,
  },
  TENANT_SCHEMA_OUT_OF_DATE: {
    status: 503,
    title: "The tenant's database must be migrated first",
    retryAfterSeconds: 30,
  },
  OUTCOME_UNKNOWN: {
    status: 503,
    title: 'It is not known whether the change was made',
    retryAfterSeconds: 2,
  },
  NO_CONNECTION_AVAILABLE: { status: 503, title: 'All connections are busy', retryAfterSeconds: 1 },
  CATALOG_UNAVAILABLE: { status: 503, title: 'The service is not available', retryAfterSeconds: 5 },
  SHUTTING_DOWN: { status: 503, title: 'The service is restarting', retryAfterSeconds: 1 },
} as const satisfies Record<string, { status: number; title: string; retryAfterSeconds?: number }>

export type ErrorCode = keyof typeof TABLE

/** One row of the table of public errors. */
export interface ErrorEntry {
  readonly status: number
  readonly title: string
  readonly retryAfterSeconds?: number
}

/** The table of public errors, for documentation and tests. */
export const ERROR_TABLE: Readonly<Record<ErrorCode, ErrorEntry>> = TABLE

/** One fault of a body or query; `pointer` is a JSON Pointer (RFC 6901) into it. */
export interface FieldError {
  readonly pointer: string
  readonly message: string
}

/** Members of the answer besides the code. `cause` is for the log only. */
export interface ErrorExtra {
  readonly detail?: string
  readonly required?: string
  readonly errors?: readonly FieldError[]
  readonly retryAfterSeconds?: number
  /** More members of the answer. They do not replace the members that every problem has. */
  readonly fields?: Readonly<Record<string, unknown>>
  readonly cause?: unknown
}

/** An error that a caller may see. Its message is the public title, so that a log line of the message shows nothing else. */
export class PublicError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly extra: ErrorExtra
  readonly #entry: ErrorEntry

  /** `entry` replaces the entry of the table, for an error code that an application declares. */
  constructor(code: ErrorCode, extra: ErrorExtra = {}, entry: ErrorEntry = TABLE[code]) {
    super(entry.title, extra.cause === undefined ? undefined : { cause: extra.cause })
    this.name = 'PublicError'
    this.code = code
    this.status = entry.status
    this.extra = extra
    this.#entry = entry
  }

  /** Seconds for `Retry-After`; null if waiting does not help. */
  get retryAfterSeconds(): number | null {
    return this.extra.retryAfterSeconds ?? this.#entry.retryAfterSeconds ?? null
  }
}

/** Makes the error to throw for a code of the table. */
export function fail(code: ErrorCode, extra?: ErrorExtra): PublicError {
  return new PublicError(code, extra)
}

/** Makes the error to throw for one fault of a body or query. */
export function invalidField(pointer: string, message: string): PublicError {
  return fail('VALIDATION_FAILED', { errors: [{ pointer, message }] })
}

/** True for the only error after which it is not known whether the change was made. */
export function isOutcomeUnknown(error: unknown): boolean {
  return error instanceof PublicError && error.code === 'OUTCOME_UNKNOWN'
}
