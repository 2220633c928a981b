import type { FastifyInstance } from 'fastify'
import { OPERATOR_READ } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve } from '../../endpoint.ts'
import { Explanation } from '../../schemas/operators/explanation.ts'
import { TENANT_PARAMS } from '../../schemas/parts.ts'
import { tenantIdOf } from '../path-ids.ts'
import { TENANTS } from './tenants.ts'

const EXPLAIN: Endpoint = {
  ...{ method: 'GET', url: '/tenants/:id/explain', access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'explainTenant', summary: 'Explain what a request of a tenant would get now' },
  description:
    'As this gateway sees it: the tenant, its database, pool, breaker and schema. `would` has `ok` or the code of the error. ' +
    'Opens no connection to the dedicated database.',
  params: TENANT_PARAMS,
  answers: { 200: Explanation },
}

export function operatorExplainRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  serve(api, EXPLAIN, async ({ params }) => operations.explainTenant(tenantIdOf(params)))
}
