import { X509Certificate } from 'node:crypto'
import { invalidField } from '../errors.ts'
import {
  ConnectionStringError,
  type ConnectionTarget,
  effectiveSslMode,
  parseConnectionString,
  type SslMode,
} from '../lib/postgres/connection-string.ts'
import type { EgressPolicy } from '../lib/postgres/egress.ts'

/** Where operators may tell a gateway to connect to. */
export interface ConnectionRules {
  readonly policy: EgressPolicy
  readonly sslModeDefault: SslMode
  /** The addresses of the catalog and the shared database, which cannot be registered. */
  readonly ownAddresses: readonly Pick<ConnectionTarget, 'host' | 'port' | 'database'>[]
}

const CERTIFICATE_END = '-----END CERTIFICATE-----'

/**
 * Parses a connection string that an operator has given, and checks what can be checked without a connection.
 * @throws PublicError VALIDATION_FAILED
 */
export function readTarget(rules: ConnectionRules, text: string): ConnectionTarget & { sslMode: SslMode } {
  const target = parse(text, rules.sslModeDefault)
  assertAllowed(rules, target)
  return target
}

function parse(text: string, sslModeDefault: SslMode): ConnectionTarget & { sslMode: SslMode } {
  try {
    const target = parseConnectionString(text)
    return { ...target, sslMode: effectiveSslMode(target, sslModeDefault) }
  } catch (error) {
    if (error instanceof ConnectionStringError) throw invalidField('/connectionString', error.message)
    throw error
  }
}

function assertAllowed({ policy, ownAddresses }: ConnectionRules, target: ConnectionTarget): void {
  if (policy.checkLiteral(target.host, target.port) === 'refused') {
    throw invalidField('/connectionString', 'databases may not be registered at this host')
  }
  const { host, port, database } = target
  if (ownAddresses.some((own) => own.host === host && own.port === port && own.database === database)) {
    throw invalidField('/connectionString', 'this database is not for tenants')
  }
}

/**
 * Takes the certificates out of a bundle; null if there is none. Providers publish bundles with text between the certificates.
 * OpenSSL ignores, without an error, everything after the first certificate that it cannot read. So we read each one here.
 * @throws PublicError VALIDATION_FAILED
 */
export function readBundle(pem: string | undefined): string | null {
  if (pem === undefined) return null
  // The bundle is stored unsealed, so a private key in it must be refused.
  if (/-----BEGIN (?!CERTIFICATE-----)/.test(pem))
    throw invalidField('/caCertificate', 'must hold nothing but certificates')
  const [, ...parts] = pem.split('-----BEGIN CERTIFICATE-----')
  if (parts.length === 0)
    throw invalidField('/caCertificate', 'must be certificates in PEM form, not a file name')
  return parts.map((part, index) => readCertificate(part, index + 1)).join('')
}

function readCertificate(part: string, number: number): string {
  const end = part.indexOf(CERTIFICATE_END)
  try {
    return new X509Certificate(
      `-----BEGIN CERTIFICATE-----${part.slice(0, end)}${CERTIFICATE_END}`,
    ).toString()
  } catch {
    throw invalidField(
      '/caCertificate',
      `must be certificates in PEM form; certificate ${number} of it cannot be read`,
    )
  }
}
