import { Type } from 'typebox'
import { choice, example, moment, nullable, text, uuid } from '../../lib/fields.ts'
import { CLOSED, integer, named, orNull, pageOf, part, string } from './parts.ts'

const CONNECTION_TIMEOUT = '5 where neither it nor connect_timeout in the connection string is given'
const MAX_CERTIFICATE_LENGTH = 256 * 1024

export const schemaVersion = () => part({ core: orNull(Type.String()), application: orNull(Type.String()) })
export const lastError = () => part({ code: string(), message: string(), at: moment() })

const databaseFields = {
  tenantId: uuid(),
  databaseType: choice('postgres'),
  host: string('db.acme-corp.example'),
  port: integer(5432),
  database: string('acme'),
  user: string('acme_app'),
  sslMode: string('verify-full'),
  poolSize: integer(10),
  idleTimeoutSeconds: integer(30),
  connectionTimeoutSeconds: integer(5),
  status: choice('pending_validation', 'active', 'failed', 'inactive'),
  placement: choice('shared', 'dedicated'),
  moveRequired: Type.Boolean(),
  lastError: orNull(lastError()),
  consecutiveFailures: integer(),
  lastCheckedAt: orNull(moment()),
  validatedAt: orNull(moment()),
  schemaVersion: orNull(schemaVersion()),
  serverVersion: orNull(string('18.4')),
  encryptionKeyId: orNull(string('5f2b9c1d')),
}

/** How many gateways run, and how many of them apply the tenant's last change. */
export const effective = part({ replicas: integer(), confirmed: integer() })

/** A registration, or null if there is none. */
export const RegisteredDatabase = orNull(named('RegisteredDatabase', databaseFields))

export const Database = named('Database', {
  ...databaseFields,
  candidate: RegisteredDatabase,
  effective,
})

export const DatabaseBody = Type.Object(
  {
    // The parser checks the length, because its errors do not repeat any of the text.
    connectionString: Type.String({
      minLength: 1,
      examples: ['postgresql://acme_app:secret@db.acme-corp.example:5432/acme'],
    }),
    databaseType: Type.Unsafe<'postgres'>({ type: 'string', enum: ['postgres'], default: 'postgres' }),
    caCertificate: Type.Optional(
      example('-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n', text(MAX_CERTIFICATE_LENGTH)),
    ),
    poolSize: Type.Integer({ minimum: 1, maximum: 1000, default: 10 }),
    idleTimeoutSeconds: Type.Integer({ minimum: 1, maximum: 86_400, default: 30 }),
    connectionTimeoutSeconds: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 60, description: CONNECTION_TIMEOUT }),
    ),
    applyMigrations: Type.Boolean({ default: true }),
  },
  { ...CLOSED, title: 'DatabaseRegistration' },
)

export const ValidationBody = nullable(
  Type.Object({ adopt: Type.Boolean({ default: false }) }, { ...CLOSED, title: 'DatabaseValidation' }),
)

export const RemovalQuery = Type.Object(
  {
    force: Type.Boolean({
      default: false,
      description: 'Give up a database that cannot be reached, with the rows in it.',
    }),
    confirm: Type.Optional(
      Type.String({ maxLength: 63, description: "The tenant's code, which `force` needs." }),
    ),
  },
  CLOSED,
)

export const Server = named('Server', {
  id: uuid(),
  name: string('eu-1'),
  host: string('db-1.eu.example'),
  port: integer(5432),
  region: orNull(string('eu')),
  capacity: integer(100),
  databases: integer(12),
  ready: part({ wanted: integer(0), available: integer(0) }),
  status: choice('active', 'draining', 'unreachable'),
  lastError: orNull(lastError()),
  createdAt: moment(),
})
export const ServerList = pageOf('ServerList', Server)

const ADMINISTRATOR = Type.String({
  minLength: 1,
  examples: ['postgresql://freehold_admin:secret@db-1.eu.example:5432/postgres'],
})
const NONE_READY = 'Databases to make in advance. Only 0 is accepted now.'
const REGION = orNull(text(63))
const count = (options: object) => Type.Integer({ minimum: 0, maximum: 100_000, ...options })

export const ServerBody = Type.Object(
  {
    name: text(100),
    connectionString: ADMINISTRATOR,
    caCertificate: Type.Optional(
      example('-----BEGIN CERTIFICATE-----\n…\n-----END CERTIFICATE-----\n', text(MAX_CERTIFICATE_LENGTH)),
    ),
    region: Type.Optional(REGION),
    capacity: count({ default: 100 }),
    ready: count({ default: 0, description: NONE_READY }),
  },
  { ...CLOSED, title: 'NewServer' },
)

export const ServerChange = Type.Object(
  {
    name: Type.Optional(text(100)),
    region: Type.Optional(REGION),
    capacity: Type.Optional(count({})),
    ready: Type.Optional(count({ description: NONE_READY })),
    status: Type.Optional(choice('active', 'draining')),
    connectionString: Type.Optional(ADMINISTRATOR),
  },
  { ...CLOSED, title: 'ServerPatch', minProperties: 1 },
)
