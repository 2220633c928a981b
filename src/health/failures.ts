import { errorCode } from '../lib/pg.ts'
import type { DatabaseErrorCode } from './states.ts'

/** A check that found something wrong. What was found in detail is the `cause`, for the log. */
export class CheckFailure extends Error {
  readonly code: DatabaseErrorCode

  constructor(code: DatabaseErrorCode, cause?: unknown) {
    super(code, cause === undefined ? undefined : { cause })
    this.name = 'CheckFailure'
    this.code = code
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
  IDENTITY_MISMATCH: 'IDENTITY_MISMATCH',
}

const TLS_CODE =
  /^(?:ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH|INVALID_CA|ERR_OSSL)/

/** Which of the contract's codes an error of connecting or checking stands for; decided on codes, never on messages. */
export function classify(error: unknown): DatabaseErrorCode {
  if (error instanceof CheckFailure) return error.code
  const code = errorCode(error)
  if (code === null) return 'UNKNOWN'
  if (TLS_CODE.test(code)) return 'TLS_FAILED'
  return BY_CODE[code] ?? 'UNKNOWN'
}
