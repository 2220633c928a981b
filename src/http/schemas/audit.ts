import { Type } from 'typebox'
import { choice, example, moment, text, uuid } from '../../lib/fields.ts'
import { anything, CLOSED, integer, named, orNull, PAGE_FIELDS, pageOf, part, string } from './parts.ts'

export const AuditEntry = named('AuditEntry', {
  id: uuid(),
  seq: integer(42),
  at: moment(),
  action: string('user.create'),
  actor: part({
    type: choice('operator', 'user', 'account', 'external', 'client-key', 'system'),
    id: string(),
  }),
  tenantId: orNull(uuid()),
  actedForTenantId: orNull(uuid()),
  requestId: orNull(string()),
  address: orNull(string('203.0.113.7')),
  before: orNull(anything()),
  after: orNull(anything()),
})
export const AuditLog = pageOf('AuditLog', AuditEntry)

/** `firstBreak` is null if `ok` is true. */
export const AuditVerdict = named(
  'AuditVerdict',
  {
    ok: Type.Boolean(),
    rows: integer(),
    sealedThrough: integer(),
    firstBreak: orNull(part({ seq: integer(), reason: choice('missing', 'changed', 'resealed') })),
  },
  { ok: true, rows: 1_204, sealedThrough: 1_200, firstBreak: null },
)

export const AuditQuery = Type.Object(
  {
    ...PAGE_FIELDS,
    tenantId: Type.Optional(uuid()),
    actor: Type.Optional(text(200)),
    action: Type.Optional(example('user.create', text(100))),
    from: Type.Optional(Type.String({ format: 'date-time' })),
    to: Type.Optional(Type.String({ format: 'date-time' })),
  },
  CLOSED,
)
