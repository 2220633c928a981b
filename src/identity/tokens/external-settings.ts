import type { TenantBy } from '../callers/principal.ts'
import { doOverlap, isSoundTemplate, isTemplate } from './issuer-template.ts'
import { isObject, parseStrictObject } from './strict-json.ts'

/** An issuer whose tokens are accepted besides our own, and how to read them. */
export interface TrustedIssuer {
  /** Exactly as in the claim `iss`, or a template with `{tid}` instead of a directory's id. */
  readonly issuer: string
  /** May have the same `{tid}` where `issuer` has it. */
  readonly jwksUri: string
  /** A token must have one of them. */
  readonly audience: readonly string[]
  readonly audienceClaim: string
  readonly algorithms: readonly string[]
  /** The claims that may name the tenant. The first one that is present counts. */
  readonly tenantClaims: readonly string[]
  readonly tenantBy: TenantBy
  readonly subjectClaim: string
  readonly permissionsClaim: string | null
  readonly rolesClaim: string | null
}

/** All faults of the setting. The messages do not repeat any part of it. */
export class TrustedIssuersError extends Error {
  override readonly name = 'TrustedIssuersError'
  readonly faults: readonly string[]

  constructor(faults: readonly string[]) {
    super(faults.join('; '))
    this.faults = faults
  }
}

const FIELDS = [
  ...['issuer', 'jwksUri', 'audience', 'audienceClaim', 'algorithms'],
  ...['tenantClaim', 'tenantBy', 'subjectClaim', 'permissionsClaim', 'rolesClaim'],
]
const DEFAULT_ALGORITHMS = ['RS256', 'PS256', 'ES256', 'EdDSA']
/** A public key cannot sign. A token that is verified with a shared secret could have been signed by us. */
const ASYMMETRIC = [
  ...['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  ...['ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'],
]
/** RFC 9864 gave the algorithm that was always used under the name `EdDSA` a name of its own. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([['Ed25519', 'EdDSA']])
const LOOPBACK = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/
const URL_TEXT = /^[\x21-\x7e]{1,1000}$/
const CLAIM = /^[\x21-\x7e]{1,200}$/
const TENANT_BY_RULE = 'must be code or externalId'
const MAX_ISSUERS = 50
const MAX_ITEMS = 20

/** The one name of an algorithm that has two. */
export function canonicalAlgorithm(name: string): string {
  return SYNONYMS.get(name) ?? name
}

/**
 * Reads the setting: one issuer as a JSON object, or several in a list.
 *
 * @throws TrustedIssuersError
 */
export function parseTrustedIssuers(text: string): readonly TrustedIssuer[] {
  const faults: string[] = []
  const items = readItems(text)
  const issuers = items.map((item, i) => {
    return readIssuer(item, (field, message) => faults.push(`[${i}]${field && `.${field}`} ${message}`))
  })
  const names = new Set(issuers.map(({ issuer }) => issuer))
  if (faults.length === 0 && names.size < issuers.length) faults.push('names an issuer twice')
  if (faults.length === 0 && haveOverlap(issuers)) faults.push('has two templates that one issuer could fit')
  if (faults.length > 0) throw new TrustedIssuersError(faults)
  return Object.freeze(issuers)
}

function haveOverlap(issuers: readonly TrustedIssuer[]): boolean {
  const templates = issuers.map(({ issuer }) => issuer).filter(isTemplate)
  return templates.some((one, i) => templates.slice(i + 1).some((other) => doOverlap(one, other)))
}

type Fault = (field: string, message: string) => void

function readItems(text: string): readonly Record<string, unknown>[] {
  try {
    // The text becomes a field of an object, because the strict parser reads only objects.
    const { list, ...more } = parseStrictObject(Buffer.from(`{"list":${text}}`))
    const items: readonly unknown[] = Array.isArray(list) ? list : [list]
    const isAlone = Object.keys(more).length === 0
    if (isAlone && items.length > 0 && items.length <= MAX_ISSUERS && items.every(isObject)) return items
  } catch {
    // The parser's message is not used, because it quotes the text.
  }
  throw new TrustedIssuersError([
    `must be a JSON object, or a list of 1 to ${MAX_ISSUERS}, with no name twice`,
  ])
}

function readIssuer(item: Record<string, unknown>, fault: Fault): TrustedIssuer {
  if (Object.keys(item).some((name) => !FIELDS.includes(name)))
    fault('', `has a field that is none of ${FIELDS.join(', ')}`)
  const issuer = readUrl(item, 'issuer', fault)
  const jwksUri = readUrl(item, 'jwksUri', fault)
  assertTemplates({ issuer, jwksUri }, fault)
  return Object.freeze({
    issuer,
    jwksUri,
    audience: readTexts(item, { field: 'audience', form: /^[^\p{C}]{1,255}$/u }, fault),
    audienceClaim: readClaim(item, 'audienceClaim', fault) ?? 'aud',
    algorithms: readAlgorithms(item, fault),
    tenantClaims: readTenantClaims(item, issuer, fault),
    tenantBy: readTenantBy(item, issuer, fault),
    subjectClaim: readClaim(item, 'subjectClaim', fault) ?? 'sub',
    permissionsClaim: readClaim(item, 'permissionsClaim', fault),
    rolesClaim: readClaim(item, 'rolesClaim', fault),
  })
}

function readUrl(item: Record<string, unknown>, field: string, fault: Fault): string {
  const text = item[field]
  const url = isText(text, URL_TEXT) ? URL.parse(text) : null
  if (typeof text !== 'string' || url === null) {
    fault(field, 'must be a URL')
    return ''
  }
  const safe = url.protocol === 'https:' || (url.protocol === 'http:' && LOOPBACK.test(url.hostname))
  if (!safe) fault(field, 'must be an https URL (http only for a loopback address)')
  if (url.username !== '' || url.password !== '' || url.hash !== '')
    fault(field, 'must have no user, password or fragment')
  return text
}

function assertTemplates({ issuer, jwksUri }: Pick<TrustedIssuer, 'issuer' | 'jwksUri'>, fault: Fault): void {
  if (isTemplate(issuer) && !isSoundTemplate(issuer))
    fault('issuer', 'must have {tid} once, as a whole part of its path')
  if (!isTemplate(jwksUri)) return
  if (!isSoundTemplate(jwksUri)) fault('jwksUri', 'must have {tid} once, as a whole part of its path')
  else if (!isTemplate(issuer)) fault('jwksUri', 'may have {tid} only where issuer has it')
}

/**
 * Anyone can have a directory, and its owner decides what its tokens say. Only the directory's id is proved in such a token,
 * so no other claim may name the tenant.
 */
function readTenantClaims(item: Record<string, unknown>, issuer: string, fault: Fault): readonly string[] {
  const fallback = [isTemplate(issuer) ? 'tid' : 'tenant_id']
  const claims = readTexts(item, { field: 'tenantClaim', form: CLAIM, fallback }, fault)
  if (isTemplate(issuer) && claims.some((claim) => claim !== 'tid'))
    fault('tenantClaim', 'must be tid where issuer has {tid}')
  return claims
}

function readTenantBy(item: Record<string, unknown>, issuer: string, fault: Fault): TenantBy {
  const { tenantBy = isTemplate(issuer) ? 'externalId' : 'code' } = item
  if (tenantBy === 'externalId' || (tenantBy === 'code' && !isTemplate(issuer))) return tenantBy
  fault('tenantBy', isTemplate(issuer) ? 'must be externalId where issuer has {tid}' : TENANT_BY_RULE)
  return 'externalId'
}

function readAlgorithms(item: Record<string, unknown>, fault: Fault): readonly string[] {
  const rule = { field: 'algorithms', form: /^[A-Za-z0-9]{1,20}$/, fallback: DEFAULT_ALGORITHMS }
  const algorithms = readTexts(item, rule, fault)
  if (!algorithms.every((name) => ASYMMETRIC.includes(name)))
    fault('algorithms', `must be some of ${ASYMMETRIC.join(', ')}`)
  return Object.freeze([...new Set(algorithms.map(canonicalAlgorithm))])
}

function readTexts(
  item: Record<string, unknown>,
  { field, form, fallback }: { field: string; form: RegExp; fallback?: readonly string[] },
  fault: Fault,
): readonly string[] {
  const value = item[field] ?? fallback
  const texts: readonly unknown[] = Array.isArray(value) ? value : [value]
  const fits = texts.length > 0 && texts.length <= MAX_ITEMS && texts.every((text) => isText(text, form))
  if (!fits) fault(field, `must be a text or a list of 1 to ${MAX_ITEMS}`)
  return Object.freeze(texts.filter((text) => isText(text, form)))
}

function readClaim(item: Record<string, unknown>, field: string, fault: Fault): string | null {
  const value = item[field]
  if (value === undefined || isText(value, CLAIM)) return value ?? null
  fault(field, 'must be the name of a claim')
  return null
}

function isText(value: unknown, form: RegExp): value is string {
  return typeof value === 'string' && form.test(value)
}
