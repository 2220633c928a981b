import { Type } from 'typebox'
import { SCHEMA_STATES } from '../../catalog/databases/schema-states.ts'
import { RUN_DEFAULTS } from '../../catalog/runs/options.ts'
import { RUN_STATUSES } from '../../catalog/runs/schema.ts'
import { choice, moment, nullable, text, uuid } from '../../lib/fields.ts'
import { lastError, schemaVersion } from './database.ts'
import { CLOSED, integer, named, orNull, PAGE_FIELDS, pageOf, part, string } from './parts.ts'

const runFields = () => ({
  id: uuid(),
  status: choice(...RUN_STATUSES),
  target: schemaVersion(),
  wave: integer(),
  waves: Type.Array(part({ size: integer(), done: integer(), failed: integer() })),
  counts: part({ total: integer(), done: integer(), failed: integer(), skipped: integer() }),
  error: orNull(part({ code: string(), message: string() })),
  createdAt: moment(),
  finishedAt: orNull(moment()),
})

export const MigrationRun = named('MigrationRun', runFields())
export const MigrationRunList = pageOf('MigrationRunList', MigrationRun)
const RunDatabase = named('MigrationRunDatabase', {
  tenantId: orNull(uuid()),
  wave: integer(),
  state: choice('waiting', 'running', 'succeeded', 'failed', 'skipped'),
  schemaVersion: orNull(schemaVersion()),
  error: orNull(part({ code: string(), message: string() })),
  startedAt: orNull(moment()),
  finishedAt: orNull(moment()),
})
export const RunDatabaseList = pageOf('MigrationRunDatabaseList', RunDatabase)
const option = (name: keyof typeof RUN_DEFAULTS, [minimum, maximum]: [number, number], description: string) =>
  Type.Optional(Type.Integer({ minimum, maximum, default: RUN_DEFAULTS[name], description }))
const SHARED_CHOICE = 'When the shared database is migrated. It is a wave of its own.'
const WAVES = 'Cumulative percents of the dedicated databases, ascending. The rest is one more wave.'
export const RunBody = nullable(
  Type.Object(
    {
      shared: Type.Optional({
        ...choice('first', 'last', 'skip'),
        ...{ default: RUN_DEFAULTS.shared, description: SHARED_CHOICE },
      }),
      canary: option('canary', [0, 100_000], 'Databases in the first wave of dedicated ones.'),
      waves: Type.Optional(
        Type.Array(Type.Integer({ minimum: 1, maximum: 100 }), {
          ...{ minItems: 1, maxItems: 100, default: [...RUN_DEFAULTS.waves], description: WAVES },
        }),
      ),
      concurrency: option('concurrency', [1, 1_000], 'Databases that are migrated at the same time.'),
      perServer: option('perServer', [1, 1_000], 'The same, of one server.'),
      lockTimeoutMs: option('lockTimeoutMs', [10, 60_000], 'How long a migration waits for a lock.'),
      haltAfterFailures: option('haltAfterFailures', [1, 1_000_000], 'The run halts after so many failures.'),
      tenants: Type.Optional(
        Type.Array(text(63), { minItems: 1, maxItems: 1_000, description: 'Only these, by code or id.' }),
      ),
    },
    { ...CLOSED, title: 'MigrationRunRequest' },
  ),
)

export const Migrations = named('Migrations', {
  target: schemaVersion(),
  databases: part({
    current: integer(),
    behind: integer(),
    failed: integer(),
    unreachable: integer(),
    drifted: integer(),
  }),
  run: orNull(part(runFields())),
})

const DatabaseSchema = named('DatabaseSchema', {
  tenantId: orNull(uuid()),
  schemaVersion: orNull(schemaVersion()),
  state: choice('current', 'behind', 'failed', 'unreachable', 'drifted'),
  lastError: orNull(lastError()),
})
export const SchemaList = pageOf('SchemaList', DatabaseSchema)
export const SchemaQuery = Type.Object(
  { ...PAGE_FIELDS, state: Type.Optional(choice(...SCHEMA_STATES)) },
  CLOSED,
)
