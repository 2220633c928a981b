import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { AccountPatch, AccountQuery, NewAccount } from '../../../identity/people/accounts.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { takesAway, whenEffective } from '../../effective.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { actorOf } from '../../pipeline.ts'
import {
  Account,
  AccountList,
  AccountListQuery,
  AccountPatchBody,
  Membership,
  MembershipBody,
  NewAccountBody,
} from '../../schemas/account.ts'
import { ID_PARAMS, pathId } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { idOf } from '../path-ids.ts'

const TAG: Tag = {
  name: 'operators: accounts',
  description: 'Accounts: people who are members of several tenants.',
}
const ROW = '/accounts/:id'
const MEMBERSHIP = `${ROW}/memberships/:tenantId`
const MEMBERSHIP_PARAMS = Type.Object({
  id: pathId("The account's id."),
  tenantId: pathId("The tenant's id."),
})

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/accounts', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'listAccounts', summary: 'List the accounts' },
  description: 'Sorted by id, a page at a time. `q` searches addresses and names.',
  query: AccountListQuery,
  answers: { 200: AccountList },
}

const CREATE: Endpoint = {
  ...{ method: 'POST', url: '/accounts', access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'createAccount', summary: 'Create an account' },
  description: 'With its first memberships.',
  body: NewAccountBody,
  answers: { 201: Account },
  answerHeaders: ['location'],
  errors: ['REFERENCE_NOT_FOUND', 'CONFLICT'],
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: ROW, access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'findAccount', summary: 'Find an account' },
  description: 'With its memberships.',
  params: ID_PARAMS,
  answers: { 200: Account },
}

const UPDATE: Endpoint = {
  ...{ method: 'PATCH', url: ROW, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'updateAccount', summary: 'Update an account' },
  description: "A new password, other roles and the status INACTIVE revoke the account's access tokens.",
  params: ID_PARAMS,
  body: AccountPatchBody,
  answers: { 200: Account },
  answerHeaders: ['freehold-effective'],
  errors: ['CONFLICT'],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: ROW, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'removeAccount', summary: 'Remove an account' },
  description: 'Ends its memberships and revokes its access tokens.',
  params: ID_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
}

const SET_MEMBERSHIP: Endpoint = {
  ...{ method: 'PUT', url: MEMBERSHIP, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'setMembership', summary: 'Make an account a member of a tenant' },
  description: 'The account has exactly these roles in the tenant.',
  params: MEMBERSHIP_PARAMS,
  body: MembershipBody,
  answers: { 200: Membership },
  answerHeaders: ['freehold-effective'],
  errors: ['TENANT_NOT_FOUND', 'CONFLICT'],
}

const REMOVE_MEMBERSHIP: Endpoint = {
  ...{ method: 'DELETE', url: MEMBERSHIP, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'removeMembership', summary: 'End the membership of an account in a tenant' },
  description: "Revokes the account's access tokens.",
  params: MEMBERSHIP_PARAMS,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
}

/** Accounts, and their memberships in tenants. */
export function operatorAccountRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { accounts } = deps
  serve(api, LIST, async ({ query }) => accounts.list(query as AccountQuery))
  serve(api, CREATE, async (request, reply) => {
    const made = await accounts.create(request.body as NewAccount, actorOf(request))
    return reply.code(201).header('location', `${api.prefix}/accounts/${made.id}`).send(made)
  })
  serve(api, FIND, async ({ params }) => accounts.find(idOf(params)))
  serve(api, UPDATE, async (request, reply) => {
    const patch = request.body as AccountPatch
    const { result, seq } = await accounts.patch(idOf(request.params), patch, actorOf(request))
    if (takesAway(patch)) await whenEffective(deps, reply, seq)
    return result
  })
  serve(api, REMOVE, async (request, reply) => {
    await whenEffective(deps, reply, await accounts.remove(idOf(request.params), actorOf(request)))
    return reply.code(204).send()
  })
  membershipRoutes(api, deps)
}

function membershipRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { accounts } = deps
  serve(api, SET_MEMBERSHIP, async (request, reply) => {
    const { params, body } = request
    const { roles } = body as Static<typeof MembershipBody>
    const membership = { tenantId: idOf(params, 'tenantId'), roles }
    const { result, seq } = await accounts.setMembership(idOf(params), membership, actorOf(request))
    await whenEffective(deps, reply, seq)
    return result
  })
  serve(api, REMOVE_MEMBERSHIP, async (request, reply) => {
    const { params } = request
    const tenantId = idOf(params, 'tenantId')
    const seq = await accounts.removeMembership(idOf(params), tenantId, actorOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
