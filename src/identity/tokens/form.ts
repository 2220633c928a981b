import { TENANT_CODE } from '../../catalog/tenant-code.ts'
import { isCanonicalBase64Url } from '../../lib/base64url.ts'
import { type KeyOwner, TOKEN_TYPE } from './signing-key.ts'
import { isObject, parseStrictObject } from './strict-json.ts'

/** In bytes: a token is ASCII. Longer ones are refused before anything is computed from them. */
export const MAX_TOKEN_BYTES = 16_384
/** The most bytes of a token that we issue. It must pass proxies whose limits we do not know. */
export const MAX_ISSUED_BYTES = 8_192
export const CLOCK_TOLERANCE_SECONDS = 5
/** No token that we issue is valid longer. Revocations are kept as long. */
export const MAX_LIFETIME_SECONDS = 86_400
const MAX_PERMISSIONS = 500
const MAX_ROLES = 100
const MAX_MEMBERSHIPS = 100

/** Why a token was refused. For the log, never for the caller. */
export class TokenFault extends Error {
  override readonly name = 'TokenFault'
}

/** The parts of a compact JWS. Nothing in them is proved yet. */
export interface TokenParts {
  readonly token: string
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
}

/** The header we write, and what we read of the header of a token signed with our keys. */
export interface TokenHeader {
  readonly alg: string
  readonly kid: string
  readonly typ: string | undefined
}

/** The claims that make a user's principal. Times in seconds since 1970. */
export interface UserClaims {
  readonly sub: string
  readonly tenantId: string
  readonly tenantCode: string
  readonly permissions: readonly string[]
  readonly roles: readonly string[]
  readonly exp: number
  /** Null if the tenant signed the token itself and left it out. */
  readonly jti: string | null
  readonly gen: number | null
}

/** The claims that make an account's identity. */
export interface AccountClaims {
  readonly sub: string
  readonly authorization: ReadonlyMap<string, readonly string[]>
  readonly roles: readonly string[]
  readonly exp: number
  readonly jti: string
  readonly gen: number
}

const JWS = /^([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)$/
const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/
const TOKEN_ID = /^[\x21-\x7e]{1,128}$/
/** Anything a person can see, without control, format or unassigned characters and line ends. */
export const PRINTABLE = /^[^\p{C}\p{Zl}\p{Zp}]{1,255}$/u
const HEADER_NAMES: ReadonlySet<string> = new Set(['alg', 'kid', 'typ'])
/** Parameters of RFC 7515, 7516, 7519 and 7797 that tokens of our keys do not need. */
const REFUSED_HEADER_NAMES: ReadonlySet<string> = new Set([
  ...['crit', 'jku', 'jwk', 'x5u', 'x5c', 'cty'],
  ...['b64', 'enc', 'zip', 'epk', 'apu', 'apv'],
])
/** A tenant's key signs access tokens only, so a token of these types cannot be mistaken for another kind. */
const TENANT_TOKEN_TYPES: ReadonlySet<string | undefined> = new Set([undefined, 'JWT', TOKEN_TYPE])
const NOT_FOR_ACCOUNTS = ['tenantId', 'tenantCode', 'permissions']

/**
 * Parses a compact JWS strictly: only the canonical encoding, and no name twice. It does not verify the signature.
 *
 * @throws TokenFault
 */
export function readToken(token: string): TokenParts {
  if (token.length > MAX_TOKEN_BYTES) throw new TokenFault('too long')
  const parts = JWS.exec(token)
  if (!parts) throw new TokenFault('not a compact JWS')
  if (!parts.slice(1).every(isCanonicalBase64Url)) throw new TokenFault('not canonical')
  return { token, header: readPart(parts[1]), claims: readPart(parts[2]) }
}

/**
 * Reads the header of a token signed with one of our keys. A token that the service signs has only `alg`, `kid` and `typ`. A tenant
 * that signs its own tokens may add parameters without a registered meaning, which are ignored. Parameters that change the meaning
 * of the signature, or point to another key, are always refused.
 *
 * @throws TokenFault
 */
export function readHeader(header: TokenParts['header'], owner: KeyOwner | null): TokenHeader {
  const isRefused = (name: string) =>
    owner === null ? !HEADER_NAMES.has(name) : REFUSED_HEADER_NAMES.has(name)
  if (Object.keys(header).some(isRefused)) throw new TokenFault('unknown header')
  const { typ } = header
  if (typ !== undefined && typeof typ !== 'string') throw new TokenFault('typ is no text')
  return { ...readKeyName(header), typ }
}

/** Reads the name of the key and the algorithm. @throws TokenFault */
export function readKeyName({ alg, kid }: TokenParts['header']): Omit<TokenHeader, 'typ'> {
  if (typeof alg !== 'string' || typeof kid !== 'string') throw new TokenFault('alg or kid is missing')
  return { alg, kid }
}

/** @throws TokenFault for a `typ` that tokens of this kind of key do not have. */
export function assertType(typ: string | undefined, owner: KeyOwner | null): void {
  if (owner === null ? typ !== TOKEN_TYPE : !TENANT_TOKEN_TYPES.has(typ)) throw new TokenFault('wrong type')
}

/**
 * Reads the claims of a user's token with a valid signature of the service's key (`owner` is null) or of a tenant's key. Tokens of
 * the service have all claims. A tenant may leave out the claims that its key implies or that it does not use.
 *
 * @throws TokenFault
 */
export function readUserClaims(claims: TokenParts['claims'], owner: KeyOwner | null): UserClaims {
  if ('authorization' in claims) throw new TokenFault('authorization has no place here')
  const { sub, permissions, roles, jti, gen, exp } = claims
  const strict = owner === null
  const missing = strict ? undefined : []
  return {
    ...(owner ? tenantOfKey(claims, owner) : tenantOfClaims(claims)),
    sub: text('sub', sub, strict ? UUID : PRINTABLE),
    permissions: texts('permissions', permissions === undefined ? missing : permissions, MAX_PERMISSIONS),
    roles: texts('roles', roles === undefined ? missing : roles, MAX_ROLES),
    jti: strict || jti !== undefined ? text('jti', jti, TOKEN_ID) : null,
    gen: strict || gen !== undefined ? generation(claims) : null,
    exp: Number(exp),
  }
}

/**
 * Reads the claims of an account's token, which only the service's key signs.
 *
 * @throws TokenFault
 */
export function readAccountClaims(claims: TokenParts['claims']): AccountClaims {
  const { sub, authorization, roles, jti, exp } = claims
  if (NOT_FOR_ACCOUNTS.some((name) => name in claims)) throw new TokenFault('a tenant beside authorization')
  return {
    sub: text('sub', sub, UUID),
    authorization: readAuthorization(authorization),
    roles: texts('roles', roles, MAX_ROLES),
    jti: text('jti', jti, TOKEN_ID),
    gen: generation(claims),
    exp: Number(exp),
  }
}

export interface TimeRules {
  readonly nowSeconds: number
  /** How much clocks may differ, for the beginning of a token. */
  readonly toleranceSeconds: number
  /** True for other issuers. Their times may have a fraction (NumericDate of RFC 7519), and `iat` may be absent. */
  readonly isForeign?: boolean
}

/**
 * Checks the times, in seconds since 1970.
 *
 * @throws TokenFault for a time that is missing, not a whole number, or infinite, and for a token that is not valid yet.
 */
export function assertTimes(claims: TokenParts['claims'], rules: TimeRules): void {
  const { iat, exp, nbf } = claims
  const isTime = rules.isForeign === true ? isBounded : isWhole
  if (!isTime(exp)) throw new TokenFault('exp is not a time')
  const isLacking = iat === undefined && rules.isForeign === true
  const beginnings = { ...(!isLacking && { iat }), ...(nbf !== undefined && { nbf }) }
  for (const [name, time] of Object.entries(beginnings)) {
    if (!isTime(time)) throw new TokenFault(`${name} is not a time`)
    if (time > rules.nowSeconds + rules.toleranceSeconds) throw new TokenFault(`${name} is in the future`)
  }
}

/** `1e999` is valid JSON and becomes Infinity. */
function isBounded(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= Number.MAX_SAFE_INTEGER
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value)
}

export function text(name: string, value: unknown, form: RegExp): string {
  if (typeof value !== 'string' || !form.test(value)) throw new TokenFault(`${name} has the wrong form`)
  return value
}

export function texts(name: string, value: unknown, max: number): readonly string[] {
  const fits = Array.isArray(value) && value.length <= max && value.every((item) => typeof item === 'string')
  if (!fits) throw new TokenFault(`${name} is not a list of texts`)
  return value
}

function tenantOfClaims({ tenantId, tenantCode }: TokenParts['claims']): KeyOwner {
  return {
    tenantId: text('tenantId', tenantId, UUID),
    tenantCode: text('tenantCode', tenantCode, TENANT_CODE),
  }
}

/** The key decides the tenant. At least one claim must name the tenant, and none may name another. */
function tenantOfKey({ tenantId, tenantCode }: TokenParts['claims'], owner: KeyOwner): KeyOwner {
  if (tenantId === undefined && tenantCode === undefined) throw new TokenFault('no tenant')
  if (tenantId !== undefined && tenantId !== owner.tenantId) throw new TokenFault("another tenant's key")
  if (tenantCode !== undefined && tenantCode !== owner.tenantCode)
    throw new TokenFault("another tenant's key")
  return owner
}

/** A token that is revoked by its generation must expire before the revocation is removed. */
function generation({ gen, iat, exp }: TokenParts['claims']): number {
  if (!Number.isSafeInteger(gen) || Number(gen) < 0) throw new TokenFault('gen is not a whole number')
  if (Number(exp) - Number(iat) > MAX_LIFETIME_SECONDS) throw new TokenFault('lasts too long')
  return Number(gen)
}

function readAuthorization(value: unknown): ReadonlyMap<string, readonly string[]> {
  const entries = isObject(value) ? Object.entries(value) : []
  if (!isObject(value) || entries.length > MAX_MEMBERSHIPS) throw new TokenFault('authorization is no map')
  return new Map(
    entries.map(([tenantId, grant]) => {
      if (!isObject(grant)) throw new TokenFault('authorization is no map')
      const names = Object.freeze([...texts('roles', grant.roles, MAX_ROLES)])
      return [text('tenantId', tenantId, UUID), names]
    }),
  )
}

function readPart(part: string | undefined): Record<string, unknown> {
  try {
    return parseStrictObject(Buffer.from(part ?? '', 'base64url'))
  } catch {
    // The parser's message would quote the token.
    throw new TokenFault('not strict JSON')
  }
}
