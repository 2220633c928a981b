import { TOKEN_TYPE } from './signing.ts'
import { isObject, parseStrictObject } from './strict-json.ts'

/** Bytes; a token is ASCII. Longer ones are refused before anything is computed over them. */
export const MAX_TOKEN_BYTES = 8192
export const CLOCK_TOLERANCE_SECONDS = 5
const MAX_PERMISSIONS = 500
const MAX_ROLES = 100

/** Why a token was refused; for the log, never for the caller. */
export class TokenFault extends Error {
  override readonly name = 'TokenFault'
}

/** The header we write, and the only one we read. */
export interface TokenHeader {
  readonly alg: string
  readonly kid: string
}

/** The claims that make a user's principal. Times in seconds since 1970. */
export interface TokenClaims {
  readonly sub: string
  readonly tenantId: string
  readonly tenantCode: string
  readonly permissions: readonly string[]
  readonly roles: readonly string[]
  readonly iat: number
  readonly exp: number
  readonly jti: string
}

const JWS = /^([A-Za-z0-9_-]{1,1024})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const TENANT_CODE = /^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$/
const HEADER_NAMES: ReadonlySet<string> = new Set(['alg', 'kid', 'typ'])

/**
 * Reads the header of a compact JWS. Only `alg`, `kid` and `typ` may stand there: `crit`, `jwk`, `jku`, `x5u`, `x5c`,
 * `b64` and what is yet to be invented change what a signature means, or who vouches for the key.
 *
 * @throws TokenFault
 */
export function readHeader(token: string): TokenHeader {
  if (token.length > MAX_TOKEN_BYTES) throw new TokenFault('too long')
  const parts = JWS.exec(token)
  if (!parts) throw new TokenFault('not a compact JWS')
  for (const part of parts.slice(1)) assertCanonical(part)
  const header = readPart(parts[1])
  if (Object.keys(header).some((name) => !HEADER_NAMES.has(name))) throw new TokenFault('unknown header')
  const { alg, kid, typ } = header
  if (typeof alg !== 'string' || typeof kid !== 'string') throw new TokenFault('alg or kid is missing')
  if (typ !== TOKEN_TYPE) throw new TokenFault('wrong type')
  return { alg, kid }
}

/**
 * Reads the claims of a token whose signature, issuer, audience and expiry hold.
 *
 * @throws TokenFault
 */
export function readClaims(token: string, nowSeconds: number): TokenClaims {
  const claims = readPart(token.split('.')[1])
  assertTimes(claims, nowSeconds)
  const { sub, tenantId, tenantCode, permissions, roles, jti, iat, exp } = claims
  return {
    sub: text('sub', sub, UUID),
    tenantId: text('tenantId', tenantId, UUID),
    tenantCode: text('tenantCode', tenantCode, TENANT_CODE),
    permissions: texts('permissions', permissions, MAX_PERMISSIONS),
    roles: texts('roles', roles, MAX_ROLES),
    jti: text('jti', jti, /^[\x21-\x7e]{1,128}$/),
    iat: Number(iat),
    exp: Number(exp),
  }
}

function assertTimes({ iat, exp, nbf }: Record<string, unknown>, nowSeconds: number): void {
  // 1e999 is JSON, and Infinity once parsed.
  if (!Number.isSafeInteger(exp)) throw new TokenFault('exp is not a whole number')
  for (const [name, time] of Object.entries({ iat, nbf: nbf ?? iat })) {
    if (!Number.isSafeInteger(time)) throw new TokenFault(`${name} is not a whole number`)
    if (Number(time) > nowSeconds + CLOCK_TOLERANCE_SECONDS) throw new TokenFault(`${name} is in the future`)
  }
}

function text(name: string, value: unknown, form: RegExp): string {
  if (typeof value !== 'string' || !form.test(value)) throw new TokenFault(`${name} has the wrong form`)
  return value
}

function texts(name: string, value: unknown, max: number): readonly string[] {
  const fits = Array.isArray(value) && value.length <= max && value.every((item) => typeof item === 'string')
  if (!fits) throw new TokenFault(`${name} is not a list of texts`)
  return value
}

/** base64url leaves bits over at the end; were they free, one token would have several spellings. */
function assertCanonical(part: string): void {
  if (Buffer.from(part, 'base64url').toString('base64url') !== part) throw new TokenFault('not canonical')
}

function readPart(part: string | undefined): Record<string, unknown> {
  try {
    const value = parseStrictObject(Buffer.from(part ?? '', 'base64url'))
    if (isObject(value)) return value
  } catch {
    // Falls through: what exactly is wrong with the JSON helps nobody.
  }
  throw new TokenFault('not strict JSON')
}
