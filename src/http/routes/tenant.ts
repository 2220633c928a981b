import type { FastifyInstance } from 'fastify'
import type { HttpDeps } from '../deps.ts'
import { contextOf } from '../pipeline.ts'

const ANYBODY = { access: { kind: 'tenant', permission: null } } as const

/** What a tenant may know of itself. It comes from the catalog, so it is served while the tenant's home is down. */
export function tenantRoutes(api: FastifyInstance, deps: HttpDeps): void {
  api.get('/tenant', { config: ANYBODY }, async (request, reply) => {
    const { route } = contextOf(request)
    const { tenantId, code, name, status, parentId, authConfig, createdAt, updatedAt } = route
    if (deps.homeIsDown(route)) reply.header('freehold-degraded', 'tenant-database')
    const children = await deps.operations.listChildren(tenantId)
    return { id: tenantId, code, name, status, parentId, authConfig, children, createdAt, updatedAt }
  })
}
