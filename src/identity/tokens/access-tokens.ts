import { hash, randomUUID } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { fail } from '../../errors.ts'
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
  /** Asked at each request, also about tokens that were verified before. */
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
  /** Names of roles by the id of the tenant in which they count. */
  readonly authorization: ReadonlyMap<string, readonly string[]>
  /** Roles that count in each of these tenants. */
  readonly roles: readonly string[]
  readonly lifetimeSeconds: number
}

export interface IssuedToken {
  readonly token: string
  readonly tokenId: string
  /** Seconds. */
  readonly expiresIn: number
}

/** What a verified token says, and until when (milliseconds since 1970) that may be remembered. */
export interface Verified {
  readonly identity: TokenIdentity
  readonly until: number
  /** The tenant whose key signed it; null for the service's and those of others. */
  readonly keyTenantId: string | null
}

/** Issues access tokens in the form of RFC 9068, verifies them by the rules of RFC 8725, and remembers verified ones. */
export class AccessTokens {
  readonly #options: AccessTokensOptions
  readonly #issuer: string
  readonly #audience: string
  readonly #now: () => number
  readonly #verified: LRUCache<string, Verified>
  /** Counts withdrawals of keys. A token whose verification began before a withdrawal is not remembered. */
  #withdrawals = 0

  constructor(options: AccessTokensOptions) {
    this.#options = options
    this.#issuer = options.issuer ?? 'freehold'
    this.#audience = options.audience ?? 'freehold'
    this.#now = options.now ?? (() => Date.now())
    this.#verified = new LRUCache({ max: options.cacheMax ?? 10_000 })
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
   * A token of a tenant's user, signed with the tenant's own key where it has one.
   *
   * @throws PublicError CONFLICT when roles and permissions do not fit into a token.
   */
  async issue({ user, tenant, ...request }: TokenRequest): Promise<IssuedToken> {
    const permissions = new PermissionSet(request.permissions).list
    const roles = [...request.roles]
    const claims = { tenantId: tenant.id, tenantCode: tenant.code, permissions, roles }
    const fits = roles.length <= 100 && permissions.length <= 500
    return this.#sign({ subject: user, claims, fits, tenantId: tenant.id, ...request })
  }

  /**
   * A token of an account, for each of the tenants in the map. The service signs it: no tenant vouches for another.
   *
   * @throws PublicError CONFLICT when the memberships do not fit into a token.
   */
  async issueForAccount({ account, authorization, ...request }: AccountTokenRequest): Promise<IssuedToken> {
    const map = Object.fromEntries([...authorization].map(([tenantId, roles]) => [tenantId, { roles }]))
    const claims = { authorization: map, roles: [...request.roles] }
    const lists = [claims.roles, ...authorization.values()]
    const fits = authorization.size <= 100 && lists.every((roles) => roles.length <= 100)
    return this.#sign({ subject: account, claims, fits, tenantId: null, ...request })
  }

  /** Who calls with a token verified before and still valid, without waiting. */
  peek(token: string): TokenIdentity | undefined {
    return token.length > MAX_TOKEN_BYTES ? undefined : this.#remembered(cacheKey(token))
  }

  /**
   * Who the token says is calling.
   *
   * @throws PublicError TOKEN_EXPIRED for a good token after its time, TOKEN_INVALID for everything else.
   */
  async verify(token: string): Promise<TokenIdentity> {
    // Before the hash: a megabyte of token must not even cost its digest.
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

  /** Forgets verified tokens: keys may have been replaced or withdrawn. */
  clear(): void {
    this.#withdrawals += 1
    this.#verified.clear()
  }

  /** As `clear`, for what this tenant's keys signed. */
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
      // The issuer is not proved yet. It only says which rules the token has to meet.
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
    // Before the signature, because jose takes an infinite end for one in the past, which is told only of good tokens.
    assertTimes(claims, { nowSeconds: this.#now() / 1000, toleranceSeconds: CLOCK_TOLERANCE_SECONDS })
    await this.#assertSigned(parts, key)
    const isAccount = owner === null && 'authorization' in claims
    const identity = isAccount
      ? accountOf(readAccountClaims(claims))
      : userOf(readUserClaims(claims, owner), parts.token)
    const endsAt = Number(claims.exp) * 1000
    // The tolerance is for clocks that differ on the beginning; an end is an end.
    if (this.#now() >= endsAt) throw fail('TOKEN_EXPIRED')
    return { identity, until: Math.min(endsAt, retirementOf(key)), keyTenantId: owner?.tenantId ?? null }
  }

  /** The key named by the header. The algorithm is the key's: the header must only agree. */
  async #keyFor(parts: TokenParts): Promise<VerificationKey> {
    const { kid, alg } = readKeyName(parts.header)
    const key = await this.#options.keys.find(kid)
    if (!key) throw new TokenFault('unknown key')
    if (key.algorithm !== alg) throw new TokenFault('wrong algorithm')
    if (this.#now() >= retirementOf(key)) throw new TokenFault('retired key')
    return key
  }

  /** A tenant's key already fixes issuer and audience. A token may leave them out, but must not contradict the key. */
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

/** The errors of jose carry the payload, so only their code is kept. Any other error is a bug of ours. */
function refusal(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return fail('TOKEN_EXPIRED')
  if (error instanceof errors.JOSEError) return fail('TOKEN_INVALID', { cause: new TokenFault(error.code) })
  if (error instanceof TokenFault) return fail('TOKEN_INVALID', { cause: error })
  return error
}

// The digest and not the token: a heap dump of the cache must not contain credentials.
function cacheKey(token: string): string {
  return hash('sha256', token, 'base64')
}
