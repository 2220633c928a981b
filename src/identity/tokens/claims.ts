import { PRINTABLE, TokenFault, type TokenParts, text } from './form.ts'
import { isObject } from './strict-json.ts'

type Claims = TokenParts['claims']

const MAX_GRANTS = 500
const MAX_TENANTS = 100

/**
 * The claim with this name. The whole name is tried first (`https://acme.example/tenant`). Otherwise its dots separate the names of
 * nested objects. At each level the longest existing name counts (`resource_access.app.example.com.roles`).
 */
export function claimOf(claims: Claims, path: string): unknown {
  let value: unknown = claims
  let rest: string | null = path
  while (rest !== null) {
    const name: string | null = isObject(value) ? longestName(value, rest) : null
    if (name === null || !isObject(value)) return undefined
    value = value[name]
    rest = name.length < rest.length ? rest.slice(name.length + 1) : null
  }
  return value
}

/** Own properties only: a claim must not be found on the prototype. */
function longestName(object: Record<string, unknown>, path: string): string | null {
  for (let end = path.length; end > 0; end = path.lastIndexOf('.', end - 1)) {
    const name = path.slice(0, end)
    if (Object.hasOwn(object, name)) return name
  }
  return null
}

/**
 * The tenants in the first of these claims that the token has. A claim is one text or number, a list of them, or an object with
 * the tenants as its property names (Keycloak's organizations).
 *
 * @throws TokenFault if it names no tenant.
 */
export function tenantsOf(claims: Claims, paths: readonly string[]): readonly string[] {
  const value = paths
    .map((path) => claimOf(claims, path))
    .find((found) => found !== undefined && found !== null)
  const names: readonly unknown[] = isObject(value) ? Object.keys(value) : [value].flat()
  if (names.length === 0 || names.length > MAX_TENANTS) throw new TokenFault('tenant names none, or too many')
  return Object.freeze([...new Set(names.map(tenantName))])
}

/** Some issuers use numbers for their customers. */
function tenantName(value: unknown): string {
  return text('tenant', Number.isSafeInteger(value) ? String(value) : value, PRINTABLE)
}

/**
 * A list of texts, or one text with spaces between them (like `scope`). Empty if there is no such claim.
 *
 * @throws TokenFault
 */
export function listOf(claims: Claims, path: string | null): readonly string[] {
  const value = path === null ? undefined : claimOf(claims, path)
  if (value === undefined || value === null) return []
  const list: readonly unknown[] =
    typeof value === 'string' ? value.split(' ').filter(Boolean) : [value].flat()
  if (list.length > MAX_GRANTS || !list.every((item) => typeof item === 'string'))
    throw new TokenFault('grants are no list of texts')
  return list
}
