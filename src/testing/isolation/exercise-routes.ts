import type { Resident } from './resident.ts'
import type { TenantRoute } from './routes.ts'

/** Calls each route for the tenant itself, until no more routes succeed. Deletions come last, see `exerciseDeletions`. */
export async function exerciseRoutes(resident: Resident, routes: readonly TenantRoute[]): Promise<void> {
  const staying = routes.filter(({ method }) => method !== 'DELETE')
  const isCreation = ({ method, params }: TenantRoute) => method === 'POST' && params.length === 0
  await untilNoneIsLeft(resident, staying.filter(isCreation))
  for (const route of staying.filter(isCreation)) await resident.repeat(route)
  const others = staying.filter((route) => !isCreation(route))
  await untilNoneIsLeft(resident, [...staying.filter(isCreation), ...others])
  // The lists that were empty before now have rows.
  for (const route of others) if (isList(route)) await resident.prove(route)
  await untilNoneIsLeft(resident, others)
  for (const route of routes) if (route.method === 'DELETE') await resident.plan(route)
}

function isList({ method, params }: TenantRoute): boolean {
  return method === 'GET' && params.length === 0
}

async function untilNoneIsLeft(resident: Resident, routes: readonly TenantRoute[]): Promise<void> {
  let left = routes.filter(({ key }) => !resident.sent.has(key))
  for (let before = Number.POSITIVE_INFINITY; left.length > 0 && left.length < before; ) {
    before = left.length
    for (const route of left) await resident.prove(route)
    left = left.filter(({ key }) => !resident.sent.has(key))
  }
}

/** Deletes the tenant's rows, so that each deletion succeeds once. */
export async function exerciseDeletions(resident: Resident, routes: readonly TenantRoute[]): Promise<void> {
  await untilNoneIsLeft(
    resident,
    routes.filter(({ method }) => method === 'DELETE'),
  )
}
