import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import { TENANT_DATABASE_CODES } from '../../answer-codes.ts'
import type { HttpDeps } from '../../deps.ts'
import type { Endpoint } from '../../endpoint.ts'
import { PageQuery, pathId, TENANT_PARAMS } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { NewUserBody, User, UserList, UserPatchBody } from '../../schemas/user.ts'
import { serveUsers } from '../users.ts'
import { tenantOfPath } from './tenant-of-path.ts'
import { TENANTS } from './tenants.ts'

const COLLECTION = '/tenants/:id/users'
const ROW = `${COLLECTION}/:userId`
const PARAMS = Type.Object({ id: pathId("The tenant's id."), userId: pathId("The user's id.") })

const LIST: Endpoint = {
  ...{ method: 'GET', url: COLLECTION, access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'listTenantUsers', summary: 'List the users of a tenant' },
  description: 'Sorted by id, a page at a time.',
  params: TENANT_PARAMS,
  query: PageQuery,
  answers: { 200: UserList },
  errors: TENANT_DATABASE_CODES,
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: COLLECTION, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'createTenantUser', summary: 'Create a user of a tenant' },
  description: 'The user may get any role of the tenant.',
  params: TENANT_PARAMS,
  body: NewUserBody,
  answers: { 201: User },
  answerHeaders: ['location'],
  errors: ['REFERENCE_NOT_FOUND', 'CONFLICT', ...TENANT_DATABASE_CODES],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: ROW, access: OPERATOR_READ, tag: TENANTS },
  ...{ operationId: 'findTenantUser', summary: 'Find a user of a tenant' },
  description: 'By id.',
  params: PARAMS,
  answers: { 200: User },
  errors: TENANT_DATABASE_CODES,
}

const UPDATE: Endpoint = {
  ...{ method: 'PATCH', url: ROW, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'updateTenantUser', summary: 'Update a user of a tenant' },
  description: "A new password, other roles and the status INACTIVE revoke the user's access tokens.",
  params: PARAMS,
  body: UserPatchBody,
  answers: { 200: User },
  answerHeaders: ['freehold-effective'],
  errors: ['REFERENCE_NOT_FOUND', 'CONFLICT', ...TENANT_DATABASE_CODES],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: ROW, access: OPERATOR_WRITE, tag: TENANTS },
  ...{ operationId: 'removeTenantUser', summary: 'Remove a user of a tenant' },
  description: "Ends the user's login sessions and revokes the user's access tokens.",
  params: PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
  errors: ['CONFLICT', ...TENANT_DATABASE_CODES],
}

/** The users of any tenant, for operators. */
export function operatorUserRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const endpoints = { list: LIST, create: CREATE, find: FIND, update: UPDATE, remove: REMOVE }
  const tenantOf = ({ params }: { params: unknown }) => tenantOfPath(deps, params)
  serveUsers(api, deps, { ...endpoints, id: 'userId', tenantOf })
}
