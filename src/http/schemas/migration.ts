import { Type } from 'typebox'
import { SCHEMA_STATES } from '../../catalog/databases/schema-states.ts'
import { choice, moment, nullable, uuid } from '../../lib/fields.ts'
import { lastError, schemaVersion } from './database.ts'
import { CLOSED, integer, named, orNull, PAGE_FIELDS, pageOf, part, string } from './parts.ts'

const runFields = () => ({
  id: uuid(),
  status: choice('running', 'succeeded', 'failed', 'cancelled'),
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
export const RunBody = nullable(Type.Object({}, { ...CLOSED, title: 'MigrationRunRequest' }))

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
