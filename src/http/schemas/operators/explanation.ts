import { SCHEMA_STATES } from '../../../catalog/databases/schema-states.ts'
import { choice, uuid } from '../../../lib/fields.ts'
import { RegisteredDatabase } from '../database.ts'
import { integer, named, orNull, part, string, strings } from '../parts.ts'

/** `ok`, or the code of the error that a request gets. */
const outcome = () => string('ok')

export const Explanation = named('Explanation', {
  tenantId: uuid(),
  code: string('acme-corp'),
  status: choice('ACTIVE', 'INACTIVE'),
  placement: choice('shared', 'dedicated'),
  database: RegisteredDatabase,
  server: orNull(string('db.acme-corp.example:5432')),
  epoch: integer(1),
  pool: part({ open: integer(), idle: integer(), waiting: integer(), lanes: integer() }),
  breaker: choice('closed', 'open', 'half-open', 'probing'),
  schema: orNull(choice(...SCHEMA_STATES)),
  would: part({ read: outcome(), write: outcome() }),
  because: strings('The tenant is ACTIVE.'),
})
