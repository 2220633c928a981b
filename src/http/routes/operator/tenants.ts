import type { FastifyInstance } from 'fastify'
import type { TenantPatch, TenantQuery } from '../../../catalog/tenants.ts'
import type { NewTenantInput } from '../../../operations/create-tenant.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import { TENANT_DATABASE_CODES } from '../../answer-codes.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { pageView } from '../../paging.ts'
import { actorOf } from '../../pipeline.ts'
import { TENANT_PARAMS } from '../../schemas/parts.ts'
import {
  NewTenantBody,
  PatchedTenant,
  Tenant,
  TenantList,
  TenantListQuery,
  TenantPatchBody,
} from '../../schemas/tenant.ts'
import { tenantIdOf } from '../path-ids.ts'
import { tenantView } from './views.ts'

export const TENANTS: Tag = {
  name: 'operators: tenants',
  description: 'Tenants, and the users, roles and client keys of any tenant.',
}

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/tenants', access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'listTenants', summary: 'List the tenants' },
  description: 'Sorted by id, a page at a time. `q` searches codes and names.',
  query: TenantListQuery,
  answers: { 200: TenantList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: '/tenants', access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'createTenant', summary: 'Create a tenant' },
  description:
    'The tenant starts in the shared database, with its roles and its first administrator. Its code can never be used again.',
  body: NewTenantBody,
  answers: { 201: Tenant },
  answerHeaders: ['location'],
  errors: [
    'TENANT_CODE_TAKEN',
    'EXTERNAL_ID_TAKEN',
    'REFERENCE_NOT_FOUND',
    'CONFLICT',
    ...TENANT_DATABASE_CODES,
  ],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: '/tenants/:id', access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'findTenant', summary: 'Find a tenant' },
  description: 'By id. The answer says where its rows are.',
  params: TENANT_PARAMS,
  answers: { 200: Tenant },
}

const UPDATE: Endpoint = {
  ...{ method: 'PATCH', url: '/tenants/:id', access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'updateTenant', summary: 'Rename a tenant, suspend it, or give it another parent' },
  description:
    'Parts that are left out keep their value. `effective` says how many gateways apply a suspension when this is answered.',
  params: TENANT_PARAMS,
  body: TenantPatchBody,
  answers: { 200: PatchedTenant },
  errors: ['REFERENCE_NOT_FOUND', 'EXTERNAL_ID_TAKEN', 'CONFLICT', 'MOVE_IN_PROGRESS'],
}

/** Tenants. No endpoint deletes one, because a code names the same tenant forever. */
export function operatorTenantRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  serve(api, LIST, async ({ query }) =>
    pageView(await operations.listTenants(query as TenantQuery), tenantView),
  )
  serve(api, CREATE, async (request, reply) => {
    const made = await operations.createTenant(request.body as NewTenantInput, actorOf(request))
    return reply
      .code(201)
      .header('location', `${api.prefix}/tenants/${made.tenant.id}`)
      .send(tenantView(made))
  })
  serve(api, FIND, async ({ params }) => tenantView(await operations.findTenant(tenantIdOf(params))))
  serve(api, UPDATE, async (request) => {
    const patch = request.body as TenantPatch
    const { effective, ...changed } = await operations.patchTenant(
      tenantIdOf(request.params),
      patch,
      actorOf(request),
    )
    return { ...tenantView(changed), ...(effective !== null && { effective }) }
  })
}
