import { fail } from '../../../errors.ts'
import type { HttpDeps } from '../../deps.ts'
import { tenantIdOf } from '../path-ids.ts'

/** The route and a session of the tenant that an operator's path names, ACTIVE or not. */
export async function tenantOfPath({ directory, sessions }: HttpDeps, params: unknown) {
  const tenantId = tenantIdOf(params)
  const route = directory.peekById(tenantId) ?? (await directory.byId(tenantId))
  if (route === null) throw fail('TENANT_NOT_FOUND')
  return { route, session: sessions.open(route) }
}
