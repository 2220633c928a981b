import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import type { AccountPatch, AccountQuery, NewAccount } from '../../../identity/people/accounts.ts'
import { choice, nullable, text, uuid } from '../../../lib/fields.ts'
import type { HttpDeps } from '../../deps.ts'
import { takesAway, whenEffective } from '../../effective.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, idOf, PAGE_FIELDS, Password } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const
const ROW = '/accounts/:id'
const MEMBERSHIP = `${ROW}/memberships/:tenantId`

const RoleNames = Type.Array(text(100), { maxItems: 50, uniqueItems: true })
const MembershipBody = Type.Object({ roles: RoleNames }, { ...CLOSED, title: 'MembershipRoles' })

const NewAccountBody = Type.Object(
  {
    email: text(254),
    password: Password,
    name: Type.Optional(nullable(text(200))),
    roles: Type.Optional(RoleNames),
    memberships: Type.Optional(
      Type.Array(Type.Object({ tenantId: uuid(), roles: RoleNames }, CLOSED), { maxItems: 100 }),
    ),
  },
  { ...CLOSED, title: 'NewAccount' },
)

const AccountPatchBody = Type.Object(
  {
    email: Type.Optional(text(254)),
    password: Type.Optional(Password),
    name: Type.Optional(nullable(text(200))),
    status: Type.Optional(choice('ACTIVE', 'INACTIVE')),
    roles: Type.Optional(RoleNames),
  },
  { ...CLOSED, title: 'AccountPatch' },
)

const AccountListQuery = Type.Object({ ...PAGE_FIELDS, q: Type.Optional(text(200)) }, CLOSED)

/** People who belong to several tenants, and what they are in each. */
export function operatorAccountRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { accounts } = deps
  api.get('/accounts', { config: READ, schema: { querystring: AccountListQuery } }, async ({ query }) =>
    accounts.list(query as AccountQuery),
  )
  api.post('/accounts', { config: WRITE, schema: { body: NewAccountBody } }, async (request, reply) => {
    const made = await accounts.create(request.body as NewAccount, actorOf(request))
    return reply.code(201).header('location', `${api.prefix}/accounts/${made.id}`).send(made)
  })
  api.get(ROW, { config: READ }, async ({ params }) => accounts.find(idOf(params)))
  api.patch(ROW, { config: WRITE, schema: { body: AccountPatchBody } }, async (request, reply) => {
    const patch = request.body as AccountPatch
    const { result, seq } = await accounts.patch(idOf(request.params), patch, actorOf(request))
    if (takesAway(patch)) await whenEffective(deps, reply, seq)
    return result
  })
  api.delete(ROW, { config: WRITE }, async (request, reply) => {
    await whenEffective(deps, reply, await accounts.remove(idOf(request.params), actorOf(request)))
    return reply.code(204).send()
  })
  membershipRoutes(api, deps)
}

function membershipRoutes(api: FastifyInstance, deps: HttpDeps): void {
  const { accounts } = deps
  api.put(MEMBERSHIP, { config: WRITE, schema: { body: MembershipBody } }, async (request, reply) => {
    const { params, body } = request
    const { roles } = body as Static<typeof MembershipBody>
    const membership = { tenantId: idOf(params, 'tenantId'), roles }
    const { result, seq } = await accounts.setMembership(idOf(params), membership, actorOf(request))
    await whenEffective(deps, reply, seq)
    return result
  })
  api.delete(MEMBERSHIP, { config: WRITE }, async (request, reply) => {
    const { params } = request
    const tenantId = idOf(params, 'tenantId')
    const seq = await accounts.removeMembership(idOf(params), tenantId, actorOf(request))
    await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
}
