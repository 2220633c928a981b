import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import { TENANT_DATABASE_CODES } from '../../answer-codes.ts'
import type { HttpDeps } from '../../deps.ts'
import type { Endpoint } from '../../endpoint.ts'
import { PageQuery, pathId, TENANT_PARAMS } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { NewRoleBody, Role, RoleList, RolePatchBody } from '../../schemas/role.ts'
import { serveRoles } from '../roles.ts'
import { tenantOfPath } from './tenant-of-path.ts'
import { TENANTS } from './tenants.ts'

const COLLECTION = '/tenants/:id/roles'
const ROW = `${COLLECTION}/:roleId`
const PARAMS = Type.Object({ id: pathId("The tenant's id."), roleId: pathId("The role's id.") })

const LIST: Endpoint = {
  ...{ method: 'GET', url: COLLECTION, access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'listTenantRoles', summary: 'List the roles of a tenant' },
  description: 'Sorted by id, a page at a time.',
  params: TENANT_PARAMS,
  query: PageQuery,
  answers: { 200: RoleList },
  errors: TENANT_DATABASE_CODES,
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: COLLECTION, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'createTenantRole', summary: 'Create a role of a tenant' },
  description: 'The role may get any permission.',
  params: TENANT_PARAMS,
  body: NewRoleBody,
  answers: { 201: Role },
  answerHeaders: ['location'],
  errors: ['CONFLICT', ...TENANT_DATABASE_CODES],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: ROW, access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'findTenantRole', summary: 'Find a role of a tenant' },
  description: 'By id.',
  params: PARAMS,
  answers: { 200: Role },
  errors: TENANT_DATABASE_CODES,
}

const UPDATE: Endpoint = {
  ...{ method: 'PATCH', url: ROW, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'updateTenantRole', summary: 'Update a role of a tenant' },
  description: 'A change that takes a permission away revokes the access tokens of users with this role.',
  params: PARAMS,
  body: RolePatchBody,
  answers: { 200: Role },
  errors: ['CONFLICT', ...TENANT_DATABASE_CODES],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: ROW, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'removeTenantRole', summary: 'Remove a role of a tenant' },
  description: 'A role that a user has is not removed.',
  params: PARAMS,
  answers: { 204: EmptyBody },
  errors: ['CONFLICT', ...TENANT_DATABASE_CODES],
}

/** The roles of any tenant, for operators. A tenant with an external issuer may have no users who could change its roles. */
export function operatorRoleRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const endpoints = { list: LIST, create: CREATE, find: FIND, update: UPDATE, remove: REMOVE }
  const tenantOf = ({ params }: { params: unknown }) => tenantOfPath(deps, params)
  serveRoles(api, deps, { ...endpoints, id: 'roleId', tenantOf })
}
