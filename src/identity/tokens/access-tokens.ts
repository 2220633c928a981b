import { hash, randomUUID } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { fail } from '../../errors.ts'
import { atMost } from '../../lib/cache/at-most.ts'
import { PermissionSet } from '../access/permissions.ts'
import type { AccountIdentity, TokenIdentity, UserPrincipal } from '../callers/principal.ts'
import type { Revocations } from '../callers/revocations.ts'
import type { ExternalIssuers } from './external-issuers.ts'
import {
  type AccountClaims,
  assertTimes,
  assertType,
  CLOCK_TOLERANCE_SECONDS,
  MAX_ISSUED_BYTES,
  MAX_TOKEN_BYTES,
  readAccountClaims,
  readHeader,
  readKeyName,
  readToken,
  readUserClaims,
  TokenFault,
  type TokenParts,
  type UserClaims,
} from './form.ts'
import type { TokenKeys, VerificationKey } from './signing-key.ts'

export interface AccessTokensOptions {
  readonly keys: TokenKeys
  /** The issuers whose tokens are accepted besides our own. */
  readonly issuers?: Pick<ExternalIssuers, 'find'>
  /** Checked at each request, also for tokens that were verified before. */
  readonly revocations?: Pick<Revocations, 'isVoid'>
  readonly issuer?: string
  readonly audience?: string
  readonly cacheMax?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

/** The holder of a token. A higher generation in the row revokes the tokens of lower ones. */
export interface TokenSubject {
  readonly id: string
  readonly generation: number
}

export interface TokenRequest {
  readonly user: TokenSubject
  readonly tenant: { readonly id: string; readonly code: string }
  readonly permissions: Iterable<string>
  readonly roles: readonly string[]
  readonly lifetimeSeconds: number
}

export interface AccountTokenRequest {
  readonly account: TokenSubject
  /** Names of roles, by the id of the tenant in which they are valid. */
  readonly authorization: ReadonlyMap<string, readonly string[]>
  /** Roles that are valid in each of these tenants. */
  readonly roles: readonly string[]
  readonly lifetimeSeconds: number
}

export interface IssuedToken {
  readonly token: string
  readonly tokenId: string
  /** In seconds. */
  readonly expiresIn: number
}

/** The identity in a verified token, and until when (milliseconds since 1970) it may be cached. */
export interface Verified {
  readonly identity: TokenIdentity
  readonly until: number
  /** The tenant whose key signed the token. Null for the service's keys and those of other issuers. */
  readonly keyTenantId: string | null
}

/** Issues access tokens in the form of RFC 9068, verifies them by the rules of RFC 8725, and caches verified ones. */
export class AccessTokens {
  readonly #options: AccessTokensOptions
  readonly #issuer: string
  readonly #audience: string
  readonly #now: () => number
  readonly #verified: LRUCache<string, Verified>
  /** Counts withdrawals of keys. A token whose verification began before a withdrawal is not cached. */
  #withdrawals = 0

  constructor(options: AccessTokensOptions) {
    this.#options = options
    this.#issuer = options.issuer ?? 'freehold'
    this.#audience = options.audience ?? 'freehold'
    this.#now = options.now ?? (() => Date.now())
    this.#verified = new LRUCache(atMost(options.cacheMax ?? 10_000))
  }

  /**
   * Loads what `issue` needs from the catalog, so that `issue` does not fail after the caller has changed something.
   *
   * @throws PublicError CATALOG_UNAVAILABLE
   */
  prepare(tenantId: string): Promise<void> {
    return this.#options.keys.prepare(tenantId)
  }

  /**
   * Issues a token of a tenant's user, signed with the tenant's own key if it has one.
   *
   * @throws PublicError CONFLICT if roles and permissions do not fit into a token.
   */
  async issue({ user, tenant, ...request }: TokenRequest): Promise<IssuedToken> {
    const permissions = new PermissionSet(request.permissions).list
    const roles = [...request.roles]
    const claims = { tenantId: tenant.id, tenantCode: tenant.code, permissions, roles }
    const fits = roles.length <= 100 && permissions.length <= 500
    return this.#sign({ subject: user, claims, fits, tenantId: tenant.id, ...request })
  }

  /**
   * Issues a token of an account, for each of the tenants in the map. The service signs it, because no tenant's key may sign for
   * other tenants.
   *
   * @throws PublicError CONFLICT if the memberships do not fit into a token.
   */
  async issueForAccount({ account, authorization, ...request }: AccountTokenRequest): Promise<IssuedToken> {
    const map = Object.fromEntries([...authorization].map(([tenantId, roles]) => [tenantId, { roles }]))
    const claims = { authorization: map, roles: [...request.roles] }
    const lists = [claims.roles, ...authorization.values()]
    const fits = authorization.size <= 100 && lists.every((roles) => roles.length <= 100)
    return this.#sign({ subject: account, claims, fits, tenantId: null, ...request })
  }

  /** The identity in a token that was verified before and is still valid. Never waits. */
  peek(token: string): TokenIdentity | undefined {
    return token.length > MAX_TOKEN_BYTES ? undefined : this.#remembered(cacheKey(token))
  }

  /**
   * Verifies a token.
   *
   * @throws PublicError TOKEN_EXPIRED for a good token after its time, TOKEN_INVALID for everything else.
   */
  async verify(token: string): Promise<TokenIdentity> {
    // Before the hash: for a token of a megabyte not even a digest is computed.
    if (token.length > MAX_TOKEN_BYTES) throw fail('TOKEN_INVALID', { cause: new TokenFault('too long') })
    const key = cacheKey(token)
    const known = this.#remembered(key)
    if (known) return known
    const withdrawals = this.#withdrawals
    const verified = await this.#verifyAnew(token)
    if (this.#isVoid(verified.identity)) throw fail('TOKEN_INVALID', { cause: new TokenFault('void') })
    if (withdrawals === this.#withdrawals) this.#verified.set(key, verified)
    return verified.identity
  }

  /** Removes all tokens from the cache. Call this when keys may have been replaced or withdrawn. */
  clear(): void {
    this.#withdrawals += 1
    this.#verified.clear()
  }

  /** As `clear`, for tokens that this tenant's keys signed. */
  forgetTenant(tenantId: string): void {
    this.#withdrawals += 1
    for (const [key, { keyTenantId }] of this.#verified.entries()) {
      if (keyTenantId === tenantId) this.#verified.delete(key)
    }
  }

  async #sign(request: {
    subject: TokenSubject
    claims: JWTPayload
    fits: boolean
    tenantId: string | null
    lifetimeSeconds: number
  }): Promise<IssuedToken> {
    const { subject, lifetimeSeconds } = request
    const iat = Math.floor(this.#now() / 1000)
    const tokenId = randomUUID()
    const standing = { iss: this.#issuer, aud: this.#audience, sub: subject.id, gen: subject.generation }
    const claims = { ...standing, ...request.claims, iat, exp: iat + lifetimeSeconds, jti: tokenId }
    const token = await this.#options.keys.sign(claims, request.tenantId)
    if (request.fits && token.length <= MAX_ISSUED_BYTES)
      return { token, tokenId, expiresIn: lifetimeSeconds }
    throw fail('CONFLICT', { detail: 'The account holds more roles and permissions than a token can carry.' })
  }

  #remembered(key: string): TokenIdentity | undefined {
    const known = this.#verified.get(key)
    return known && this.#now() < known.until && !this.#isVoid(known.identity) ? known.identity : undefined
  }

  #isVoid(identity: TokenIdentity): boolean {
    return this.#options.revocations?.isVoid(identity) === true
  }

  async #verifyAnew(token: string): Promise<Verified> {
    try {
      const parts = readToken(token)
      // The issuer is not proved yet. It only decides which rules the token must meet.
      const external = this.#options.issuers?.find(parts.claims.iss)
      return await (external ? external.verify(parts) : this.#verifyOwn(parts))
    } catch (error) {
      throw refusal(error)
    }
  }

  async #verifyOwn(parts: TokenParts): Promise<Verified> {
    const key = await this.#keyFor(parts)
    const { header, claims } = parts
    const { owner } = key
    assertType(readHeader(header, owner).typ, owner)
    // Before the signature: jose treats an infinite end as one in the past, and TOKEN_EXPIRED is only for valid tokens.
    assertTimes(claims, { nowSeconds: this.#now() / 1000, toleranceSeconds: CLOCK_TOLERANCE_SECONDS })
    await this.#assertSigned(parts, key)
    const isAccount = owner === null && 'authorization' in claims
    const identity = isAccount
      ? accountOf(readAccountClaims(claims))
      : userOf(readUserClaims(claims, owner), parts.token)
    const endsAt = Number(claims.exp) * 1000
    // The tolerance applies only to the beginning of a token.
    if (this.#now() >= endsAt) throw fail('TOKEN_EXPIRED')
    return { identity, until: Math.min(endsAt, retirementOf(key)), keyTenantId: owner?.tenantId ?? null }
  }

  /** The key that the header names. The key decides the algorithm, and the header must have the same. */
  async #keyFor(parts: TokenParts): Promise<VerificationKey> {
    const { kid, alg } = readKeyName(parts.header)
    const key = await this.#options.keys.find(kid)
    if (!key) throw new TokenFault('unknown key')
    if (key.algorithm !== alg) throw new TokenFault('wrong algorithm')
    if (this.#now() >= retirementOf(key)) throw new TokenFault('retired key')
    return key
  }

  /** A tenant's key already implies issuer and audience. A token may omit them, but must not have others. */
  async #assertSigned({ token, claims }: TokenParts, key: VerificationKey): Promise<void> {
    const isPinned = (name: string) => key.owner === null || name in claims
    await jwtVerify(token, key.key, {
      algorithms: [key.algorithm],
      ...(isPinned('iss') && { issuer: this.#issuer }),
      ...(isPinned('aud') && { audience: this.#audience }),
      requiredClaims: ['sub', 'iat', 'exp', ...(key.owner === null ? ['jti'] : [])],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(this.#now()),
    })
  }
}

function retirementOf(key: VerificationKey): number {
  return key.verifyUntil ?? Number.POSITIVE_INFINITY
}

function userOf({ sub, tenantId, tenantCode, ...claims }: UserClaims, token: string): UserPrincipal {
  return Object.freeze({
    kind: 'user',
    userId: sub,
    tenantId,
    tenantCode,
    permissions: new PermissionSet(claims.permissions),
    roles: Object.freeze([...claims.roles]),
    tokenId: claims.jti ?? cacheKey(token),
    generation: claims.gen,
  })
}

function accountOf({ sub, authorization, roles, jti, gen }: AccountClaims): AccountIdentity {
  return Object.freeze({
    kind: 'account-token',
    accountId: sub,
    authorization,
    roles: Object.freeze([...roles]),
    tokenId: jti,
    generation: gen,
  })
}

/** The errors of jose contain the payload, so only their code is kept. Any other error is a fault of this program. */
function refusal(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return fail('TOKEN_EXPIRED')
  if (error instanceof errors.JOSEError) return fail('TOKEN_INVALID', { cause: new TokenFault(error.code) })
  if (error instanceof TokenFault) return fail('TOKEN_INVALID', { cause: error })
  return error
}

// The digest instead of the token, so that a heap dump of the cache contains no credentials.
function cacheKey(token: string): string {
  return hash('sha256', token, 'base64')
}
