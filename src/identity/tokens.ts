import { hash, randomUUID } from 'node:crypto'
import { errors, jwtVerify } from 'jose'
import { LRUCache } from 'lru-cache'
import { fail } from '../errors.ts'
import { PermissionSet } from './permissions.ts'
import type { UserPrincipal } from './principal.ts'
import { TOKEN_TYPE, type TokenKeys, type VerificationKey } from './signing.ts'
import {
  CLOCK_TOLERANCE_SECONDS,
  MAX_TOKEN_BYTES,
  readClaims,
  readHeader,
  type TokenClaims,
  TokenFault,
} from './token-form.ts'

export interface AccessTokensOptions {
  readonly keys: TokenKeys
  readonly issuer?: string
  readonly audience?: string
  readonly cacheMax?: number
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

export interface TokenRequest {
  readonly user: { readonly id: string }
  readonly tenant: { readonly id: string; readonly code: string }
  readonly permissions: Iterable<string>
  readonly roles: readonly string[]
  readonly lifetimeSeconds: number
}

export interface IssuedToken {
  readonly token: string
  readonly tokenId: string
  /** Seconds. */
  readonly expiresIn: number
}

interface Verified {
  readonly principal: UserPrincipal
  /** Milliseconds since 1970. */
  readonly until: number
}

/** Access tokens (RFC 9068 in form, RFC 8725 in care): issues them, verifies them, remembers the verified ones. */
export class AccessTokens {
  readonly #keys: TokenKeys
  readonly #issuer: string
  readonly #audience: string
  readonly #now: () => number
  readonly #verified: LRUCache<string, Verified>

  constructor(options: AccessTokensOptions) {
    this.#keys = options.keys
    this.#issuer = options.issuer ?? 'freehold'
    this.#audience = options.audience ?? 'freehold'
    this.#now = options.now ?? (() => Date.now())
    this.#verified = new LRUCache({ max: options.cacheMax ?? 10_000 })
  }

  /** @throws PublicError CONFLICT when roles and permissions do not fit into a token. */
  async issue(request: TokenRequest): Promise<IssuedToken> {
    const { user, tenant, roles, lifetimeSeconds } = request
    const iat = Math.floor(this.#now() / 1000)
    const tokenId = randomUUID()
    const claims = {
      iss: this.#issuer,
      aud: this.#audience,
      sub: user.id,
      tenantId: tenant.id,
      tenantCode: tenant.code,
      permissions: new PermissionSet(request.permissions).list,
      roles: [...roles],
      iat,
      exp: iat + lifetimeSeconds,
      jti: tokenId,
    }
    const token = await this.#keys.sign(claims, tenant.id)
    if (token.length > MAX_TOKEN_BYTES || roles.length > 100 || claims.permissions.length > 500) {
      throw fail('CONFLICT', {
        detail: 'The account holds more roles and permissions than a token can carry.',
      })
    }
    return { token, tokenId, expiresIn: lifetimeSeconds }
  }

  /** The principal of a token verified before and still valid, without waiting. */
  peek(token: string): UserPrincipal | undefined {
    return token.length > MAX_TOKEN_BYTES ? undefined : this.#remembered(cacheKey(token))
  }

  /**
   * Who the token says is calling.
   *
   * @throws PublicError TOKEN_EXPIRED for a good token after its time, TOKEN_INVALID for everything else.
   */
  async verify(token: string): Promise<UserPrincipal> {
    // Before the hash: a megabyte of token must not even cost its digest.
    if (token.length > MAX_TOKEN_BYTES) throw fail('TOKEN_INVALID', { cause: new TokenFault('too long') })
    const key = cacheKey(token)
    const known = this.#remembered(key)
    if (known) return known
    const verified = await this.#verifyAnew(token)
    this.#verified.set(key, verified)
    return verified.principal
  }

  /** Forgets verified tokens: a key was replaced or withdrawn. */
  clear(): void {
    this.#verified.clear()
  }

  #remembered(key: string): UserPrincipal | undefined {
    const known = this.#verified.get(key)
    return known && this.#now() < known.until ? known.principal : undefined
  }

  async #verifyAnew(token: string): Promise<Verified> {
    try {
      const key = await this.#keyFor(token)
      await this.#assertSigned(token, key)
      const claims = readClaims(token, this.#now() / 1000)
      if (key.tenantId !== null && key.tenantId !== claims.tenantId)
        throw new TokenFault("another tenant's key")
      // The tolerance is for clocks that differ on the beginning; an end is an end.
      if (this.#now() >= claims.exp * 1000) throw fail('TOKEN_EXPIRED')
      return { principal: principalOf(claims), until: Math.min(claims.exp * 1000, retirementOf(key)) }
    } catch (error) {
      throw refusal(error)
    }
  }

  /** The key named by the header. The algorithm is the key's: the header must only agree. */
  async #keyFor(token: string): Promise<VerificationKey> {
    const { kid, alg } = readHeader(token)
    const key = await this.#keys.find(kid)
    if (!key) throw new TokenFault('unknown key')
    if (key.algorithm !== alg) throw new TokenFault('wrong algorithm')
    if (this.#now() >= retirementOf(key)) throw new TokenFault('retired key')
    return key
  }

  async #assertSigned(token: string, key: VerificationKey): Promise<void> {
    await jwtVerify(token, key.key, {
      algorithms: [key.algorithm],
      typ: TOKEN_TYPE,
      issuer: this.#issuer,
      audience: this.#audience,
      requiredClaims: ['sub', 'iat', 'exp', 'jti'],
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
      currentDate: new Date(this.#now()),
    })
  }
}

function retirementOf(key: VerificationKey): number {
  return key.verifyUntil ?? Number.POSITIVE_INFINITY
}

function principalOf(claims: TokenClaims): UserPrincipal {
  return Object.freeze({
    kind: 'user',
    userId: claims.sub,
    tenantId: claims.tenantId,
    tenantCode: claims.tenantCode,
    permissions: new PermissionSet(claims.permissions),
    roles: Object.freeze([...claims.roles]),
    tokenId: claims.jti,
  })
}

/** jose's errors carry the payload, so only their code goes on. What is neither a fault nor jose's is our own bug. */
function refusal(error: unknown): unknown {
  if (error instanceof errors.JWTExpired) return fail('TOKEN_EXPIRED')
  if (error instanceof errors.JOSEError) return fail('TOKEN_INVALID', { cause: new TokenFault(error.code) })
  if (error instanceof TokenFault) return fail('TOKEN_INVALID', { cause: error })
  return error
}

// The digest, not the token: a heap dump of the cache gives nobody a credential.
function cacheKey(token: string): string {
  return hash('sha256', token, 'base64')
}
