import { compactVerify, errors } from 'jose'
import { LRUCache } from 'lru-cache'
import { fail, PublicError } from '../../errors.ts'
import type { Clock } from '../../lib/clock.ts'
import { PermissionSet } from '../access/permissions.ts'
import type { ExternalIdentity } from '../callers/principal.ts'
import { claimOf, listOf, tenantsOf } from './claims.ts'
import { ExternalKeys, type KeyRequest } from './external-keys.ts'
import { canonicalAlgorithm, type TrustedIssuer } from './external-settings.ts'
import { assertTimes, PRINTABLE, TokenFault, type TokenParts, text } from './form.ts'
import { fillTemplate, isTemplate, tidIn } from './issuer-template.ts'

export interface ExternalIssuersOptions {
  readonly issuers: readonly TrustedIssuer[]
  /** True if a tenant has listed this external id under this entry. Called before the keys of one directory are read. */
  readonly isListed: (entry: string, externalId: string) => Promise<boolean>
  readonly log: { warn(details: object, message: string): void }
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly clock?: Clock
}

/** A verified token that an issuer's key signed. */
export interface VerifiedExternal {
  readonly identity: ExternalIdentity
  readonly until: number
  readonly keyTenantId: null
}

/** The clocks of other issuers may differ more than our own. */
const TOLERANCE_SECONDS = 30
/** Short, because an issuer does not announce that it withdraws a key. */
const REMEMBERED_MS = 300_000
/** How many directories' keys are kept, if each directory has its own keys. */
const MAX_DIRECTORIES = 1_000

/** The issuers whose tokens are accepted besides our own. */
export class ExternalIssuers {
  readonly #byName: ReadonlyMap<string, ExternalIssuer>
  readonly #templates: readonly ExternalIssuer[]

  constructor({ issuers, ...options }: ExternalIssuersOptions) {
    const all = issuers.map((trusted) => new ExternalIssuer(trusted, options))
    this.#byName = new Map(all.map((issuer) => [issuer.entry, issuer]))
    this.#templates = all.filter(({ entry }) => isTemplate(entry))
  }

  /** Finds an issuer by the claim `iss`, which is not proved yet. An entry with exactly this name comes first. */
  find(name: unknown): ExternalIssuer | undefined {
    if (typeof name !== 'string' || isTemplate(name)) return undefined
    return this.#byName.get(name) ?? this.#templates.find(({ entry }) => tidIn(entry, name) !== null)
  }
}

/** Verifies the tokens of one entry: its keys, its algorithms, its name, an audience meant for us. */
export class ExternalIssuer {
  readonly #trusted: TrustedIssuer
  readonly #options: Omit<ExternalIssuersOptions, 'issuers'>
  readonly #now: () => number
  /** By the address of the keys: one, or one for each directory. */
  readonly #keys = new LRUCache<string, ExternalKeys>({ max: MAX_DIRECTORIES })

  constructor(trusted: TrustedIssuer, options: Omit<ExternalIssuersOptions, 'issuers'>) {
    this.#trusted = trusted
    this.#options = options
    this.#now = options.now ?? (() => Date.now())
  }

  /** The issuer's name in the settings. */
  get entry(): string {
    return this.#trusted.issuer
  }

  /** @throws TokenFault, or PublicError TOKEN_EXPIRED for a good token after its time. */
  async verify(parts: TokenParts): Promise<VerifiedExternal> {
    const { claims } = parts
    // Checked before keys are read: a token that cannot be valid must not make us fetch keys.
    const header = this.#readHeader(parts.header)
    const tid = this.#assertPinned(claims)
    const identity = this.#identityOf(claims)
    const times = { toleranceSeconds: TOLERANCE_SECONDS, isForeign: true }
    assertTimes(claims, { nowSeconds: this.#now() / 1000, ...times })
    const keys = await this.#keysOf(tid)
    await this.#assertSigned(parts, keys, {
      ...header,
      ...(tid !== null && { directory: { tid, iss: identity.issuer } }),
    })
    const endsAt = Number(claims.exp) * 1000
    if (this.#now() >= endsAt) throw fail('TOKEN_EXPIRED')
    return { identity, until: Math.min(endsAt, this.#now() + REMEMBERED_MS), keyTenantId: null }
  }

  /**
   * Unknown header parameters are ignored (RFC 7515, section 4), unless `crit` names them. Parameters that point to another key are
   * ignored, too: keys are found only by their name, in the issuer's own list.
   */
  #readHeader(header: TokenParts['header']): Pick<KeyRequest, 'alg' | 'kid'> {
    const { alg, kid, typ } = header
    if (Object.hasOwn(header, 'crit')) throw new TokenFault('something critical that is not understood')
    if (typ !== undefined && isOtherKind(text('typ', typ, PRINTABLE))) throw new TokenFault('wrong type')
    const isAgreed = typeof alg === 'string' && this.#trusted.algorithms.includes(canonicalAlgorithm(alg))
    if (!isAgreed) throw new TokenFault('wrong algorithm')
    return kid === undefined ? { alg } : { alg, kid: text('kid', kid, PRINTABLE) }
  }

  /** Returns the directory's id, which must be the same in `iss` and `tid`. Null if the entry is no template. */
  #assertPinned(claims: TokenParts['claims']): string | null {
    const { issuer, audience, audienceClaim } = this.#trusted
    const { iss } = claims
    const tid = isTemplate(issuer) && typeof iss === 'string' ? tidIn(issuer, iss) : null
    if (isTemplate(issuer) ? tid === null || claims.tid !== tid : iss !== issuer)
      throw new TokenFault('wrong issuer')
    const named: readonly unknown[] = [claimOf(claims, audienceClaim)].flat()
    if (!named.some((name) => typeof name === 'string' && audience.includes(name)))
      throw new TokenFault('wrong audience')
    return tid
  }

  /** The keys of a directory are read only when a tenant has listed it. Otherwise any token could make us fetch keys. */
  async #keysOf(tid: string | null): Promise<ExternalKeys> {
    const { jwksUri, issuer } = this.#trusted
    const isOfOne = tid !== null && isTemplate(jwksUri)
    if (isOfOne && !(await this.#options.isListed(issuer, tid)))
      throw new TokenFault('no tenant has listed this directory')
    const uri = isOfOne ? fillTemplate(jwksUri, tid) : jwksUri
    const known = this.#keys.get(uri)
    if (known !== undefined) return known
    const { log, clock } = this.#options
    const keys = new ExternalKeys({ jwksUri: uri, log, ...(clock && { clock }) })
    this.#keys.set(uri, keys)
    return keys
  }

  async #assertSigned({ token }: TokenParts, keys: ExternalKeys, request: KeyRequest): Promise<void> {
    const key = await keys.find(request)
    if (key === undefined) throw new TokenFault('unknown key')
    try {
      await compactVerify(token, key, { algorithms: [request.alg] })
    } catch (error) {
      // Also for a key that jose refuses as too weak with a TypeError: the issuer chose the key, not we.
      if (error instanceof PublicError) throw error
      throw new TokenFault(error instanceof errors.JOSEError ? error.code : 'unusable key')
    }
  }

  #identityOf(claims: TokenParts['claims']): ExternalIdentity {
    const { issuer, subjectClaim, tenantClaims, tenantBy, permissionsClaim, rolesClaim } = this.#trusted
    return Object.freeze({
      kind: 'external-token',
      issuer: String(claims.iss),
      entry: issuer,
      subject: text('subject', claimOf(claims, subjectClaim), PRINTABLE),
      tenants: tenantsOf(claims, tenantClaims),
      tenantBy,
      permissions: new PermissionSet(listOf(claims, permissionsClaim)),
      roles: Object.freeze([...new Set(listOf(claims, rolesClaim))]),
    })
  }
}

/** RFC 8725, section 3.11: a logout token, or a token of another type, is no access token, whatever its claims are. */
function isOtherKind(typ: string): boolean {
  const kind = typ.toLowerCase().replace(/^application\//, '')
  return kind.endsWith('+jwt') && kind !== 'at+jwt'
}
