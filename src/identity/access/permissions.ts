/** The permissions of the core's own endpoints. The application adds its own. Tenants may also grant others of the same form. */
export const CORE_PERMISSIONS: readonly string[] = Object.freeze([
  'users:read',
  'users:write',
  'roles:read',
  'roles:write',
  'client-keys:read',
  'client-keys:write',
  'audit:read',
  'accounts:act',
])

/** `*`, `resource:*` or `resource:action`. JSON Schema and SQL use this pattern, too. */
export const PERMISSION_PATTERN = '^(?:\\*|[a-z][a-z-]*:(?:[a-z-]+|\\*))$'
const MAX_PERMISSION_LENGTH = 100
/** No user's roles grant more. A dedicated database may return a million permissions, and sorting them would take a second. */
const MAX_GRANTED = 20_000
const FORM = new RegExp(PERMISSION_PATTERN)

/** A permission in its parts. `*` is `{ resource: '*', action: '*' }`. */
export interface Permission {
  readonly resource: string
  readonly action: string
}

/** Parses a permission. Returns null for a text of another form. */
export function parsePermission(text: string): Permission | null {
  if (text.length > MAX_PERMISSION_LENGTH || !FORM.test(text)) return null
  const [resource = '*', action = '*'] = text.split(':')
  return { resource, action }
}

/**
 * What a principal may do. It is built once for each credential and checked on each request: `has` takes one or two look-ups.
 * A text that is no permission grants nothing.
 */
export class PermissionSet {
  /** The granted permissions, sorted, each once, without those that a wildcard in the list covers. */
  readonly list: readonly string[]
  readonly #everything: boolean
  readonly #resources: ReadonlySet<string>
  readonly #exact: ReadonlySet<string>

  constructor(granted: Iterable<string>) {
    const known = [...new Set(granted)].slice(0, MAX_GRANTED).flatMap((text) => {
      const parsed = parsePermission(text)
      return parsed ? [{ text, ...parsed }] : []
    })
    const wildcards = known.filter((p) => p.action === '*')
    const resources = new Set(wildcards.map((p) => p.resource))
    const exact = known.filter((p) => p.action !== '*' && !resources.has(p.resource)).map((p) => p.text)
    this.#everything = resources.has('*')
    this.#resources = resources
    this.#exact = new Set(exact)
    const list = this.#everything ? ['*'] : [...wildcards.map((p) => p.text), ...exact]
    this.list = Object.freeze(list.sort())
    Object.freeze(this)
  }

  /** True if `permission` (`resource:action`) is granted, by its name or by a wildcard. */
  has(permission: string): boolean {
    if (this.#everything || this.#exact.has(permission)) return true
    const colon = permission.indexOf(':')
    return colon > 0 && this.#resources.has(permission.slice(0, colon))
  }
}
