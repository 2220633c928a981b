import { compactVerify, errors } from 'jose'
import { fail, PublicError } from '../errors.ts'
import type { Clock } from '../lib/clock.ts'
import { ExternalKeys } from './external-keys.ts'
import type { TrustedIssuer } from './external-settings.ts'
import { PermissionSet } from './permissions.ts'
import type { ExternalIdentity } from './principal.ts'
import { isObject } from './strict-json.ts'
import { assertHeaderNames, assertTimes, PRINTABLE, TokenFault, type TokenParts, text } from './token-form.ts'

export interface ExternalIssuersOptions {
  readonly issuers: readonly TrustedIssuer[]
  readonly log: { warn(details: object, message: string): void }
  /** Milliseconds since 1970. */
  readonly now?: () => number
  readonly clock?: Clock
}

/** What is remembered of a token that an issuer's key signed. */
export interface VerifiedExternal {
  readonly identity: ExternalIdentity
  readonly until: number
  readonly keyTenantId: null
}

/** The hash of a certificate changes nothing: keys are found by their name, in the issuer's own list. */
const HEADER_NAMES: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'x5t', 'x5t#S256'])
/** Clocks of other houses. */
const TOLERANCE_SECONDS = 30
/** An issuer that withdraws a key tells nobody. */
const REMEMBERED_MS = 300_000
const MAX_GRANTS = 500

/** The issuers whose tokens are accepted besides our own. */
export class ExternalIssuers {
  readonly #byName: ReadonlyMap<string, ExternalIssuer>

  constructor({ issuers, ...options }: ExternalIssuersOptions) {
    this.#byName = new Map(issuers.map((trusted) => [trusted.issuer, new ExternalIssuer(trusted, options)]))
  }

  /** By the claim `iss`, which at this point anybody may have written. */
  find(issuer: unknown): ExternalIssuer | undefined {
    return typeof issuer === 'string' ? this.#byName.get(issuer) : undefined
  }
}

/** Verifies the tokens of one issuer: its keys, its algorithms, its name, an audience meant for us. */
export class ExternalIssuer {
  readonly #trusted: TrustedIssuer
  readonly #keys: ExternalKeys
  readonly #now: () => number

  constructor(trusted: TrustedIssuer, { log, now, clock }: Omit<ExternalIssuersOptions, 'issuers'>) {
    this.#trusted = trusted
    this.#now = now ?? (() => Date.now())
    this.#keys = new ExternalKeys({ jwksUri: trusted.jwksUri, log, ...(clock && { clock }) })
  }

  /** @throws TokenFault, or PublicError TOKEN_EXPIRED for a good token after its time. */
  async verify(parts: TokenParts): Promise<VerifiedExternal> {
    const { claims } = parts
    // What a look tells is asked before keys are: nobody makes us fetch them for a token that cannot be good.
    const wanted = this.#readHeader(parts.header)
    this.#assertPinned(claims)
    const identity = this.#identityOf(claims)
    assertTimes(claims, this.#now() / 1000, TOLERANCE_SECONDS)
    await this.#assertSigned(parts.token, wanted)
    const endsAt = Number(claims.exp) * 1000
    if (this.#now() >= endsAt) throw fail('TOKEN_EXPIRED')
    return { identity, until: Math.min(endsAt, this.#now() + REMEMBERED_MS), keyTenantId: null }
  }

  #readHeader(header: TokenParts['header']) {
    assertHeaderNames(header, HEADER_NAMES)
    const { alg, kid } = header
    if (typeof alg !== 'string' || !this.#trusted.algorithms.includes(alg))
      throw new TokenFault('wrong algorithm')
    return kid === undefined ? { alg } : { alg, kid: text('kid', kid, PRINTABLE) }
  }

  #assertPinned({ iss, aud }: TokenParts['claims']): void {
    const { issuer, audience } = this.#trusted
    if (iss !== issuer) throw new TokenFault('wrong issuer')
    const named: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
    if (!named.some((name) => typeof name === 'string' && audience.includes(name)))
      throw new TokenFault('wrong audience')
  }

  async #assertSigned(token: string, wanted: { alg: string; kid?: string }): Promise<void> {
    const key = await this.#keys.find(wanted)
    if (key === undefined) throw new TokenFault('unknown key')
    try {
      await compactVerify(token, key, { algorithms: [wanted.alg] })
    } catch (error) {
      // Also for a key that jose finds too weak, which it says in a TypeError: the key is not ours.
      if (error instanceof PublicError) throw error
      throw new TokenFault(error instanceof errors.JOSEError ? error.code : 'unusable key')
    }
  }

  #identityOf(claims: TokenParts['claims']): ExternalIdentity {
    const { issuer, subjectClaim, tenantClaims, permissionsClaim, rolesClaim } = this.#trusted
    return Object.freeze({
      kind: 'external-token',
      issuer,
      subject: text('subject', claimOf(claims, subjectClaim), PRINTABLE),
      tenant: tenantOf(claims, tenantClaims),
      permissions: new PermissionSet(listOf(claims, permissionsClaim)),
      roles: Object.freeze([...new Set(listOf(claims, rolesClaim))]),
    })
  }
}

/** A name may hold dots itself (`https://acme.example/tenant`); otherwise they lead into objects (`org.id`). */
function claimOf(claims: TokenParts['claims'], path: string): unknown {
  if (Object.hasOwn(claims, path)) return claims[path]
  return path.split('.').reduce<unknown>((value, name) => {
    return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  }, claims)
}

function tenantOf(claims: TokenParts['claims'], paths: readonly string[]): string {
  const value = paths
    .map((path) => claimOf(claims, path))
    .find((found) => found !== undefined && found !== null)
  // Some houses count their companies.
  const name = Number.isSafeInteger(value) ? String(value) : value
  return text('tenant', name, PRINTABLE)
}

/** A list of texts, or one text with spaces between (as `scope` is written). */
function listOf(claims: TokenParts['claims'], path: string | null): readonly string[] {
  const value = path === null ? undefined : claimOf(claims, path)
  if (value === undefined || value === null) return []
  const list: readonly unknown[] =
    typeof value === 'string' ? value.split(' ').filter(Boolean) : [value].flat()
  if (list.length > MAX_GRANTS || !list.every((item) => typeof item === 'string'))
    throw new TokenFault('grants are no list of texts')
  return list
}
