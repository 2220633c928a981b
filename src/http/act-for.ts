import type { Route } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { typedCode } from '../identity/people/names.ts'
import { isUuid } from '../lib/ids.ts'
import type { HttpDeps } from './deps.ts'
import type { Visit } from './gates.ts'

const ACT = 'accounts:act'

/**
 * The gate of the act-for header: an ancestor whose principal holds `accounts:act` works in a descendant, with the
 * permissions that it has at home. A stranger's tenant and one that does not exist are answered alike, and before the
 * hierarchy is looked at where the permission is missing. Waits for nothing while the routes on the way are known.
 * @throws PublicError CROSS_TENANT_ACCESS; TENANT_NOT_FOUND for a descendant that is INACTIVE
 */
export function actFor(visit: Visit): Promise<void> | void {
  const { request, route, principal, deps } = visit
  const named = request.headers[deps.settings.actForHeader]
  if (named === undefined || route === null || principal === null || principal.kind === 'operator') return
  const name = typedCode(String(named))
  if (name === route.code || name.toLowerCase() === route.tenantId) return
  if (!principal.permissions.has(ACT)) throw fail('CROSS_TENANT_ACCESS')
  const target = peek(deps, name)
  if (target === undefined) return find(deps, name).then((found) => climb(visit, route, found))
  return climb(visit, route, target)
}

/** A code may be written like an id; whoever has the id comes first, also when only the other is at hand. */
function peek({ directory }: Pick<HttpDeps, 'directory'>, name: string): Route | undefined {
  return isUuid(name) ? directory.peekById(name.toLowerCase()) : directory.peekByCode(name)
}

async function find({ directory }: Pick<HttpDeps, 'directory'>, name: string): Promise<Route | null> {
  return (await directory.byId(name)) ?? (await directory.byCode(name))
}

/**
 * From the target upwards, so that a way is found in as many steps as it is long. There are no circles in the catalog; routes
 * that were read at different moments may make one all the same.
 */
function climb(visit: Visit, home: Route, target: Route | null): Promise<void> | void {
  const { directory } = visit.deps
  const passed = new Set<string>()
  for (let at = target; at !== null && !passed.has(at.tenantId); ) {
    const { tenantId, parentId } = at
    if (parentId === home.tenantId) return enter(visit, home, target)
    if (parentId === null) break
    passed.add(tenantId)
    const parent = directory.peekById(parentId)
    if (parent === undefined) return climbSlowly(visit, { home, target, parentId, passed })
    at = parent
  }
  throw fail('CROSS_TENANT_ACCESS')
}

async function climbSlowly(
  visit: Visit,
  way: { home: Route; target: Route | null; parentId: string; passed: Set<string> },
): Promise<void> {
  const { home, target, parentId, passed } = way
  const { directory } = visit.deps
  for (let next: string | null = parentId; next !== null && !passed.has(next); ) {
    if (next === home.tenantId) return enter(visit, home, target)
    passed.add(next)
    next = (directory.peekById(next) ?? (await directory.byId(next)))?.parentId ?? null
  }
  throw fail('CROSS_TENANT_ACCESS')
}

function enter(visit: Visit, home: Route, target: Route | null): void {
  if (target?.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
  visit.home = home
  visit.route = target
}
