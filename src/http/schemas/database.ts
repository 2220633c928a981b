import { Type } from 'typebox'
import { choice, example, moment, nullable, text, uuid } from '../../lib/fields.ts'
import { CLOSED, integer, named, orNull, part, string } from './parts.ts'

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
