import { isServed, type Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { typedCode } from '../identity/people/names.ts'
import { isUuid } from '../lib/ids.ts'
import type { HttpDeps } from './deps.ts'
import type { RequestState } from './request-state.ts'

const ACT = 'accounts:act'

/**
 * Lets a principal with `accounts:act` work in a descendant of its own tenant, with its own permissions. `named` is the value of
 * the act-for header. The error is the same if the named tenant is no descendant, if it does not exist, and if the principal lacks
 * the permission, which is checked first. Returns at once if all routes are cached.
 * @throws PublicError CROSS_TENANT_ACCESS; TENANT_NOT_FOUND for a descendant that is INACTIVE
 */
export function actFor(state: RequestState, named: string): Promise<void> | void {
  const { route, principal, deps } = state
  if (route === null || principal === null || principal.kind === 'operator') return
  const name = typedCode(named)
  if (name === route.code || name.toLowerCase() === route.tenantId) return
  if (!principal.permissions.has(ACT)) throw fail('CROSS_TENANT_ACCESS')
  const target = peek(deps, name)
  if (target === undefined) return find(deps, name).then((found) => enterDescendant(state, route, found))
  return enterDescendant(state, route, target)
}

/** A code may look like an id. The tenant with that id comes first, also if only the tenant with that code is cached. */
function peek({ directory }: Pick<HttpDeps, 'directory'>, name: string): Route | undefined {
  return isUuid(name) ? directory.peekById(name.toLowerCase()) : directory.peekByCode(name)
}

async function find({ directory }: Pick<HttpDeps, 'directory'>, name: string): Promise<Route | null> {
  return (await directory.byId(name)) ?? (await directory.byCode(name))
}

/**
 * Follows the parents from the target up to the principal's own tenant. The catalog has no cycles, but routes that were
 * read at different moments may form one, so each tenant is visited once.
 */
function enterDescendant(state: RequestState, own: Route, target: Route | null): Promise<void> | void {
  const { directory } = state.deps
  const passed = new Set<string>()
  for (let at = target; at !== null && !passed.has(at.tenantId); ) {
    const { tenantId, parentId } = at
    if (parentId === own.tenantId) return enter(state, own, target)
    if (parentId === null) break
    passed.add(tenantId)
    const parent = directory.peekById(parentId)
    if (parent === undefined) return readParents(state, { own, target, parentId, passed })
    at = parent
  }
  throw fail('CROSS_TENANT_ACCESS')
}

/** As `enterDescendant`, for parents that are not cached. */
async function readParents(
  state: RequestState,
  search: { own: Route; target: Route | null; parentId: string; passed: Set<string> },
): Promise<void> {
  const { own, target, parentId, passed } = search
  const { directory } = state.deps
  for (let next: string | null = parentId; next !== null && !passed.has(next); ) {
    if (next === own.tenantId) return enter(state, own, target)
    passed.add(next)
    next = (directory.peekById(next) ?? (await directory.byId(next)))?.parentId ?? null
  }
  throw fail('CROSS_TENANT_ACCESS')
}

function enter(state: RequestState, own: Route, target: Route | null): void {
  if (!isServed(target)) throw fail('TENANT_NOT_FOUND')
  state.ownRoute = own
  state.route = target
}
