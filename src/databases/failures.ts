import type { DatabaseErrorCode } from '../catalog/databases/entry.ts'
import { causesOf } from '../lib/causes.ts'
import { databaseError, errorCode } from '../lib/postgres/pg.ts'
import { PoolerUnsupportedError } from '../lib/postgres/pooler-faults.ts'
import { MigrationError } from '../migrations/migration-error.ts'

/** A check that failed. The details are in `cause`, for the log. */
export class CheckFailure extends Error {
  readonly code: DatabaseErrorCode
  /** A more precise text for operators than that of the code. Our own text, never the server's. */
  readonly words: string | null

  constructor(code: DatabaseErrorCode, cause?: unknown, words: string | null = null) {
    super(code, cause === undefined ? undefined : { cause })
    this.name = 'CheckFailure'
    this.code = code
    this.words = words
  }
}

const BY_CODE: Readonly<Record<string, DatabaseErrorCode>> = {
  DNS_FAILED: 'DNS_FAILED',
  ENOTFOUND: 'DNS_FAILED',
  EAI_AGAIN: 'DNS_FAILED',
  HOST_NOT_ALLOWED: 'HOST_NOT_ALLOWED',
  CONNECTION_TIMEOUT: 'CONNECTION_TIMEOUT',
  ETIMEDOUT: 'CONNECTION_TIMEOUT',
  '57014': 'CONNECTION_TIMEOUT',
  ECONNREFUSED: 'CONNECTION_REFUSED',
  ECONNRESET: 'CONNECTION_REFUSED',
  EPIPE: 'CONNECTION_REFUSED',
  EHOSTUNREACH: 'CONNECTION_REFUSED',
  ENETUNREACH: 'CONNECTION_REFUSED',
  EADDRNOTAVAIL: 'CONNECTION_REFUSED',
  '55000': 'CONNECTION_REFUSED',
  '57P01': 'CONNECTION_REFUSED',
  '57P02': 'CONNECTION_REFUSED',
  '57P03': 'CONNECTION_REFUSED',
  '28P01': 'AUTHENTICATION_FAILED',
  '28000': 'AUTHENTICATION_FAILED',
  CLEAR_TEXT_PASSWORD: 'AUTHENTICATION_FAILED',
  '25006': 'READ_ONLY',
  '3D000': 'DATABASE_DOES_NOT_EXIST',
  '53300': 'TOO_MANY_CONNECTIONS',
  '42501': 'PERMISSION_MISSING',
  PERMISSION_MISSING: 'PERMISSION_MISSING',
  SCHEMA_DRIFTED: 'SCHEMA_DRIFTED',
  MIGRATION_FAILED: 'MIGRATION_FAILED',
  TLS_REFUSED: 'TLS_FAILED',
  CHANNEL_BINDING_REFUSED: 'TLS_FAILED',
  ALPN_REFUSED: 'TLS_FAILED',
  READ_ONLY: 'READ_ONLY',
  IDENTITY_MISMATCH: 'IDENTITY_MISMATCH',
  PROTOCOL_VIOLATION: 'PROTOCOL_VIOLATION',
  // The answers to all checks are short.
  ANSWER_TOO_LARGE: 'PROTOCOL_VIOLATION',
  POOLER_UNSUPPORTED: 'POOLER_UNSUPPORTED',
}

/**
 * The database is gone or cannot be reached. A server that refuses the password or has no free connection does not count: it runs, so
 * the rows in it may still change.
 */
export const UNREACHABLE_CODES: ReadonlySet<DatabaseErrorCode> = new Set([
  'DNS_FAILED',
  'CONNECTION_REFUSED',
  'CONNECTION_TIMEOUT',
  'DATABASE_DOES_NOT_EXIST',
  'IDENTITY_MISMATCH',
])

/** SQLSTATE 3F000, invalid_schema_name. */
const NO_SCHEMA = '3F000'

const TLS_CODE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_OSSL)/

/** The text of an error for `lastError.message`; null if the text of its code is enough. */
export function wordsFor(error: unknown): string | null {
  for (const e of causesOf(error)) {
    if (e instanceof CheckFailure) return e.words
    if (e instanceof PoolerUnsupportedError) return e.message
    if (e instanceof MigrationError && e.clash !== null) return clashWords(e.clash)
  }
  return databaseError(error)?.code === NO_SCHEMA ? 'The database has no schema "public"; create it' : null
}

function clashWords({ kind, name }: NonNullable<MigrationError['clash']>): string {
  return `The database already has a ${kind} "public.${name}", which a migration would create; rename it, or register another database`
}

/** The public code of an error of connecting or checking. Decides on codes, never on messages. */
export function classify(error: unknown): DatabaseErrorCode {
  if (error instanceof CheckFailure) return error.code
  if (databaseError(error)?.code === NO_SCHEMA) return 'SCHEMA_DRIFTED'
  const code = errorCode(error)
  if (code === null) return 'UNKNOWN'
  if (TLS_CODE.test(code)) return 'TLS_FAILED'
  return BY_CODE[code] ?? 'UNKNOWN'
}
