import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import type { TenantPatch, TenantQuery } from '../../../catalog/tenants.ts'
import { choice, nullable, text, uuid } from '../../../lib/fields.ts'
import type { NewTenantInput } from '../../../operations/create-tenant.ts'
import type { HttpDeps } from '../../deps.ts'
import { tenantView } from '../../operator-views.ts'
import { actorOf } from '../../pipeline.ts'
import { CLOSED, PAGE_FIELDS, Password, pageView, ROLE_FIELDS, tenantIdOf } from '../../transport/bodies.ts'

const READ = { access: { kind: 'operator', write: false } } as const
const WRITE = { access: { kind: 'operator', write: true } } as const

const DAY_SECONDS = 86_400
const seconds = (minimum: number, maximum: number) => Type.Optional(Type.Integer({ minimum, maximum }))

/** Any part may be given; what is left out keeps its value, at first the default. */
const AuthConfigBody = Type.Object(
  {
    passwordPolicy: Type.Optional(
      Type.Object(
        {
          minLength: Type.Optional(Type.Integer({ minimum: 8, maximum: 128 })),
          requireMixed: Type.Optional(Type.Boolean()),
        },
        CLOSED,
      ),
    ),
    accessTokenSeconds: seconds(30, DAY_SECONDS),
    refreshTokenSeconds: seconds(60, 365 * DAY_SECONDS),
    refreshReuseSeconds: seconds(0, 60),
    lockout: Type.Optional(
      Type.Object(
        {
          attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
          windowSeconds: seconds(1, DAY_SECONDS),
        },
        CLOSED,
      ),
    ),
  },
  CLOSED,
)

/** How trusted issuers name the tenant. Compared as they are, so nothing is allowed that looks like nothing. */
const ExternalIds = Type.Optional(
  Type.Array(
    Type.Object(
      {
        issuer: Type.String({
          maxLength: 1000,
          pattern: '^[!-~]+$',
          examples: ['https://login.acme-corp.example/'],
        }),
        id: Type.String({
          maxLength: 255,
          pattern: '^[^\\p{C}\\p{Zl}\\p{Zp}]+$',
          examples: ['org_9ybsU1dN2dKfDkBi'],
        }),
      },
      CLOSED,
    ),
    { maxItems: 50, uniqueItems: true },
  ),
)

const NewTenantBody = Type.Object(
  {
    code: Type.String({ pattern: '^[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$' }),
    name: text(200),
    parentId: Type.Optional(nullable(uuid())),
    authConfig: Type.Optional(AuthConfigBody),
    externalIds: ExternalIds,
    admin: Type.Optional(
      Type.Object({ email: text(254), password: Password, name: Type.Optional(text(200)) }, CLOSED),
    ),
    roles: Type.Optional(
      Type.Array(Type.Object({ ...ROLE_FIELDS }, CLOSED), {
        maxItems: 50,
        examples: [[{ name: 'clerk', permissions: ['users:read'] }]],
      }),
    ),
  },
  { ...CLOSED, title: 'NewTenant' },
)

const TenantPatchBody = Type.Object(
  {
    name: Type.Optional(text(200)),
    status: Type.Optional(choice('ACTIVE', 'INACTIVE')),
    parentId: Type.Optional(nullable(uuid())),
    authConfig: Type.Optional(AuthConfigBody),
    externalIds: ExternalIds,
  },
  { ...CLOSED, title: 'TenantPatch' },
)

const TenantListQuery = Type.Object(
  {
    ...PAGE_FIELDS,
    status: Type.Optional(choice('ACTIVE', 'INACTIVE')),
    placement: Type.Optional(choice('shared', 'dedicated')),
    q: Type.Optional(text(200)),
    parentId: Type.Optional(uuid()),
  },
  CLOSED,
)

/** Tenants: made, found, changed. They are never deleted: a code is unique for ever. */
export function operatorTenantRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  api.get('/tenants', { config: READ, schema: { querystring: TenantListQuery } }, async ({ query }) =>
    pageView(await operations.listTenants(query as TenantQuery), tenantView),
  )
  api.post('/tenants', { config: WRITE, schema: { body: NewTenantBody } }, async (request, reply) => {
    const made = await operations.createTenant(request.body as NewTenantInput, actorOf(request))
    return reply
      .code(201)
      .header('location', `${api.prefix}/tenants/${made.tenant.id}`)
      .send(tenantView(made))
  })
  api.get('/tenants/:id', { config: READ }, async ({ params }) =>
    tenantView(await operations.findTenant(tenantIdOf(params))),
  )
  api.patch('/tenants/:id', { config: WRITE, schema: { body: TenantPatchBody } }, async (request) => {
    const patch = request.body as TenantPatch
    const { effective, ...changed } = await operations.patchTenant(
      tenantIdOf(request.params),
      patch,
      actorOf(request),
    )
    return { ...tenantView(changed), ...(effective !== null && { effective }) }
  })
}
