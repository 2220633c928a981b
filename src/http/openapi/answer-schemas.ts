/** What the routes answer that are no collections of the application. Fields that are not listed do not leave. */
import { type TSchema, Type } from 'typebox'
import { CORE_PERMISSIONS } from '../../identity/access/permissions.ts'
import { choice, nullable, uuid } from '../../lib/fields.ts'
import { CLOSED } from '../transport/bodies.ts'
import { exampleOf } from './examples.ts'

const text = () => Type.String()
const whole = () => Type.Integer()
const moment = () => Type.String({ format: 'date-time' })
const texts = () => Type.Array(text())
const orNull = (schema: TSchema) => nullable(schema)
/** Where the parts do not go together in every way, an example says which do. */
const named = (title: string, fields: Record<string, TSchema>, example?: object) =>
  Type.Object(fields, { ...CLOSED, title, ...(example && { examples: [example] }) })
const part = (fields: Record<string, TSchema>) => Type.Object(fields, CLOSED)
const open = (title?: string) =>
  Type.Object({}, { additionalProperties: true, ...(title !== undefined && { title }) })

const person = () => orNull(Type.String({ examples: ['Ada Lovelace'] }))

/** A page of a list. */
export const pageOf = (title: string, row: TSchema) =>
  named(title, { data: Type.Array(row), nextCursor: orNull(text()) })

export const Status = named('Status', { status: choice('ok') })
export const Readiness = named('Readiness', {
  status: choice('ready', 'starting', 'key-missing', 'connections-missing', 'draining'),
  waitsFor: Type.Optional(choice('held-by-others', 'more-replicas-than-connections')),
})

const partHealth = () => part({ status: choice('ok', 'read-only', 'down'), latencyMs: orNull(Type.Number()) })

export const Health = named('Health', {
  status: choice('ok', 'degraded', 'unavailable'),
  version: text(),
  uptimeSeconds: whole(),
  activePools: whole(),
  cachedConfigs: whole(),
  connections: part({ open: whole(), max: whole() }),
  catalog: partHealth(),
  shared: partHealth(),
  databases: part({ pending_validation: whole(), active: whole(), failed: whole(), inactive: whole() }),
  schema: part({ current: whole(), behind: whole(), failed: whole() }),
})

/** The public half: what is not named here can slip into no answer. `y` is for P-256. */
const Jwk = named(
  'Jwk',
  {
    kty: choice('OKP', 'EC'),
    crv: choice('Ed25519', 'P-256'),
    x: text(),
    y: Type.Optional(text()),
    kid: text(),
    use: choice('sig'),
    alg: choice('EdDSA', 'ES256'),
  },
  {
    ...{ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' },
    ...{ kid: 's.Zm9yZXhhbXBs.ZXhhbXBsZXM', use: 'sig', alg: 'EdDSA' },
  },
)
export const Jwks = named('Jwks', { keys: Type.Array(Jwk) })

export const SigningKey = named('SigningKey', {
  kid: text(),
  algorithm: choice('EdDSA', 'ES256', 'HS256'),
  createdAt: moment(),
})

export const TokenPair = named('TokenPair', {
  accessToken: text(),
  refreshToken: text(),
  tokenType: choice('Bearer'),
  expiresIn: whole(),
})

/** No refresh token: one is scoped to a single tenant. */
export const AccountToken = named('AccountToken', {
  accessToken: text(),
  tokenType: choice('Bearer'),
  expiresIn: whole(),
})

const userFields = {
  id: uuid(),
  email: text(),
  username: orNull(text()),
  name: person(),
  taxNumber: orNull(text()),
  status: choice('ACTIVE', 'INACTIVE'),
  roles: texts(),
  createdAt: moment(),
  updatedAt: moment(),
}
export const User = named('User', userFields)

const tenantName = { id: uuid(), code: text(), name: text() }

/** A user has `user`; of `clientKey`, `account` and `external` one stands there for whoever else calls. */
export const Me = named(
  'Me',
  {
    user: orNull(part(userFields)),
    clientKey: Type.Optional(part({ id: uuid() })),
    account: Type.Optional(orNull(part({ id: uuid(), email: text(), name: person() }))),
    external: Type.Optional(part({ subject: text() })),
    tenant: part(tenantName),
    roles: texts(),
    permissions: texts(),
    actingFor: orNull(part(tenantName)),
  },
  {
    ...{ user: exampleOf(part(userFields)), tenant: exampleOf(part(tenantName)) },
    ...{ roles: ['admin'], permissions: ['*'], actingFor: null },
  },
)

export const Permissions = named('Permissions', { data: texts() }, { data: CORE_PERMISSIONS })

export const Role = named('Role', {
  id: uuid(),
  name: Type.String({ examples: ['caretaker'] }),
  description: orNull(text()),
  permissions: texts(),
  createdAt: moment(),
  updatedAt: moment(),
})

export const Membership = named('Membership', { tenantId: uuid(), tenantCode: text(), roles: texts() })

export const Account = named('Account', {
  id: uuid(),
  email: text(),
  name: person(),
  status: choice('ACTIVE', 'INACTIVE'),
  roles: texts(),
  memberships: Type.Array(Membership),
  createdAt: moment(),
  updatedAt: moment(),
})

const keyFields = {
  id: uuid(),
  name: text(),
  permissions: texts(),
  prefix: text(),
  createdAt: moment(),
  expiresAt: orNull(moment()),
}
export const ClientKey = named('ClientKey', { ...keyFields, lastUsedAt: orNull(moment()) })
export const CreatedClientKey = named('CreatedClientKey', { ...keyFields, key: text() })

const AuthConfig = named('AuthConfig', {
  passwordPolicy: part({ minLength: whole(), requireMixed: Type.Boolean() }),
  accessTokenSeconds: whole(),
  refreshTokenSeconds: whole(),
  refreshReuseSeconds: whole(),
  lockout: part({ attempts: whole(), windowSeconds: whole() }),
})

export const OwnTenant = named('OwnTenant', {
  id: uuid(),
  code: text(),
  name: text(),
  status: choice('ACTIVE', 'INACTIVE'),
  parentId: orNull(uuid()),
  authConfig: AuthConfig,
  children: Type.Array(
    part({ id: uuid(), code: text(), name: text(), status: choice('ACTIVE', 'INACTIVE') }),
  ),
  createdAt: moment(),
  updatedAt: moment(),
})

const databaseFields = {
  tenantId: uuid(),
  databaseType: choice('postgres'),
  host: text(),
  port: whole(),
  database: text(),
  user: text(),
  sslMode: text(),
  poolSize: whole(),
  idleTimeoutSeconds: whole(),
  connectionTimeoutSeconds: whole(),
  status: choice('pending_validation', 'active', 'failed', 'inactive'),
  placement: choice('shared', 'dedicated'),
  moveRequired: Type.Boolean(),
  lastError: orNull(part({ code: text(), message: text(), at: moment() })),
  consecutiveFailures: whole(),
  lastCheckedAt: orNull(moment()),
  validatedAt: orNull(moment()),
  schemaVersion: orNull(part({ core: orNull(text()), application: orNull(text()) })),
  serverVersion: orNull(text()),
  encryptionKeyId: orNull(text()),
}
/** How many live gateways there are, and how many of them apply the tenant's last change. */
const effective = part({ replicas: whole(), confirmed: whole() })
export const Database = named('Database', {
  ...databaseFields,
  candidate: orNull(part(databaseFields)),
  effective,
})

const tenantFields = {
  id: uuid(),
  code: text(),
  name: text(),
  externalIds: Type.Array(part({ issuer: text(), id: text() }), {
    examples: [[{ issuer: 'https://login.acme-corp.example/', id: 'org_9ybsU1dN2dKfDkBi' }]],
  }),
  status: choice('ACTIVE', 'INACTIVE'),
  parentId: orNull(uuid()),
  placement: choice('shared', 'dedicated'),
  database: orNull(part(databaseFields)),
  authConfig: AuthConfig,
  createdAt: moment(),
  updatedAt: moment(),
}
export const Tenant = named('Tenant', tenantFields)
export const PatchedTenant = named('PatchedTenant', {
  ...tenantFields,
  effective: Type.Optional(effective),
})

const operatorFields = {
  id: uuid(),
  name: text(),
  role: choice('admin', 'viewer'),
  prefix: text(),
  createdAt: moment(),
}
export const Operator = named('Operator', operatorFields)
export const CreatedOperator = named('CreatedOperator', { ...operatorFields, token: text() })

export const AuditEntry = named('AuditEntry', {
  id: uuid(),
  seq: whole(),
  at: moment(),
  action: text(),
  actor: part({
    type: choice('operator', 'user', 'account', 'external', 'client-key', 'system'),
    id: text(),
  }),
  tenantId: orNull(uuid()),
  actedForTenantId: orNull(uuid()),
  requestId: orNull(text()),
  address: orNull(text()),
  before: orNull(open()),
  after: orNull(open()),
})

/** `firstBreak` is null where `ok`. */
export const AuditVerdict = named(
  'AuditVerdict',
  {
    ok: Type.Boolean(),
    rows: whole(),
    sealedThrough: whole(),
    firstBreak: orNull(part({ seq: whole(), reason: choice('missing', 'changed', 'resealed') })),
  },
  { ok: true, rows: 1_204, sealedThrough: 1_200, firstBreak: null },
)

export const Encryption = named('Encryption', {
  currentKeyId: text(),
  counts: Type.Object({}, { additionalProperties: whole() }),
  rotation: orNull(
    part({
      id: uuid(),
      keyId: text(),
      status: choice('running', 'done', 'failed', 'superseded'),
      total: whole(),
      remaining: whole(),
      startedAt: moment(),
      finishedAt: orNull(moment()),
    }),
  ),
})

const schemaVersion = () => part({ core: orNull(text()), application: orNull(text()) })

const runFields = () => ({
  id: uuid(),
  status: choice('running', 'succeeded', 'failed', 'cancelled'),
  target: schemaVersion(),
  wave: whole(),
  waves: Type.Array(part({ size: whole(), done: whole(), failed: whole() })),
  counts: part({ total: whole(), done: whole(), failed: whole(), skipped: whole() }),
  error: orNull(part({ code: text(), message: text() })),
  createdAt: moment(),
  finishedAt: orNull(moment()),
})

export const MigrationRun = named('MigrationRun', runFields())

export const Migrations = named('Migrations', {
  target: schemaVersion(),
  databases: part({
    ...{ current: whole(), behind: whole(), failed: whole(), unreachable: whole(), drifted: whole() },
  }),
  run: orNull(part(runFields())),
})

export const DatabaseSchema = named('DatabaseSchema', {
  tenantId: orNull(uuid()),
  schemaVersion: orNull(schemaVersion()),
  state: choice('current', 'behind', 'failed', 'unreachable', 'drifted'),
  lastError: orNull(part({ code: text(), message: text(), at: moment() })),
})

/** A job's result is its kind's own. */
export const Job = named('Job', {
  id: uuid(),
  kind: Type.String({ examples: ['validation'] }),
  tenantId: orNull(uuid()),
  serverId: orNull(uuid()),
  runId: orNull(uuid()),
  status: choice('queued', 'running', 'succeeded', 'failed', 'cancelled'),
  step: orNull(text()),
  progress: orNull(part({ done: whole(), total: whole() })),
  attempts: whole(),
  error: orNull(part({ code: text(), message: text(), at: moment() })),
  result: orNull(open()),
  createdAt: moment(),
  startedAt: orNull(moment()),
  finishedAt: orNull(moment()),
})

export const AnyDocument = open('OpenApiDocument')
