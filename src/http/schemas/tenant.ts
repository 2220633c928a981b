import { Type } from 'typebox'
import { TENANT_CODE_PATTERN } from '../../catalog/tenant-code.ts'
import { choice, example, moment, nullable, text, uuid } from '../../lib/fields.ts'
import { effective, RegisteredDatabase } from './database.ts'
import { CLOSED, integer, named, orNull, PAGE_FIELDS, pageOf, part, string, tenantName } from './parts.ts'
import { ROLE_FIELDS } from './role.ts'
import { emailText, Password } from './user.ts'

const DAY_SECONDS = 86_400
const seconds = (minimum: number, maximum: number) => Type.Optional(Type.Integer({ minimum, maximum }))

const AuthConfig = named('AuthConfig', {
  passwordPolicy: part({ minLength: integer(12), requireMixed: Type.Boolean() }),
  accessTokenSeconds: integer(900),
  refreshTokenSeconds: integer(2_592_000),
  refreshReuseSeconds: integer(10),
  lockout: part({ attempts: integer(10), windowSeconds: integer(900) }),
})

const status = () => choice('ACTIVE', 'INACTIVE')

/** A tenant as its own callers see it. */
export const OwnTenant = named('OwnTenant', {
  ...tenantName,
  status: status(),
  parentId: orNull(uuid()),
  authConfig: AuthConfig,
  children: Type.Array(part({ ...tenantName, status: status() })),
  createdAt: moment(),
  updatedAt: moment(),
})

const tenantFields = {
  ...tenantName,
  externalIds: Type.Array(part({ issuer: string(), id: string() }), {
    examples: [[{ issuer: 'https://login.acme-corp.example/', id: 'org_9ybsU1dN2dKfDkBi' }]],
  }),
  status: status(),
  parentId: orNull(uuid()),
  placement: choice('shared', 'dedicated'),
  database: RegisteredDatabase,
  authConfig: AuthConfig,
  createdAt: moment(),
  updatedAt: moment(),
}

/** A tenant as operators see it. */
export const Tenant = named('Tenant', tenantFields)
export const TenantList = pageOf('TenantList', Tenant)
export const PatchedTenant = named('PatchedTenant', {
  ...tenantFields,
  effective: Type.Optional(effective),
})

/** A field that is left out keeps its value. A new tenant has the default. */
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

/** The tenant's names at trusted issuers. They are compared byte by byte, so invisible characters are refused. */
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

export const NewTenantBody = Type.Object(
  {
    code: Type.String({ pattern: TENANT_CODE_PATTERN, examples: ['acme-corp'] }),
    name: example('Acme Corporation', text(200)),
    parentId: Type.Optional(nullable(uuid())),
    authConfig: Type.Optional(AuthConfigBody),
    externalIds: ExternalIds,
    admin: Type.Optional(
      Type.Object({ email: emailText(), password: Password, name: Type.Optional(text(200)) }, CLOSED),
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

export const TenantPatchBody = Type.Object(
  {
    name: Type.Optional(example('Acme Corporation', text(200))),
    status: Type.Optional(status()),
    parentId: Type.Optional(nullable(uuid())),
    authConfig: Type.Optional(AuthConfigBody),
    externalIds: ExternalIds,
  },
  { ...CLOSED, title: 'TenantPatch' },
)

export const TenantListQuery = Type.Object(
  {
    ...PAGE_FIELDS,
    status: Type.Optional(status()),
    placement: Type.Optional(choice('shared', 'dedicated')),
    q: Type.Optional(text(200)),
    parentId: Type.Optional(uuid()),
  },
  CLOSED,
)
