import type { FastifyInstance } from 'fastify'
import type { HttpDeps } from '../deps.ts'
import { type Endpoint, serve, type Tag } from '../endpoint.ts'
import { contextOf } from '../pipeline.ts'
import { OwnTenant } from '../schemas/tenant.ts'

const TAG: Tag = { name: 'tenant', description: "The caller's own tenant." }

const READ: Endpoint = {
  ...{ method: 'GET', url: '/tenant', access: { kind: 'tenant', permission: null }, tag: TAG },
  ...{ operationId: 'readOwnTenant', summary: "Read the caller's tenant" },
  description: "Answers also while the tenant's database is down, and then sets `Freehold-Degraded`.",
  answers: { 200: OwnTenant },
  answerHeaders: ['freehold-degraded'],
}

/** Shows a tenant to its own callers. Reads the catalog only, so it needs no tenant database. */
export function tenantRoutes(api: FastifyInstance, deps: HttpDeps): void {
  serve(api, READ, async (request, reply) => {
    const { route } = contextOf(request)
    const { tenantId, code, name, status, parentId, authConfig, createdAt, updatedAt } = route
    if (deps.isDatabaseDown(route)) reply.header('freehold-degraded', 'tenant-database')
    const children = await deps.operations.listChildren(tenantId)
    return { id: tenantId, code, name, status, parentId, authConfig, children, createdAt, updatedAt }
  })
}
