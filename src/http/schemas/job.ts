import { Type } from 'typebox'
import { choice, moment, text, uuid } from '../../lib/fields.ts'
import { lastError } from './database.ts'
import { anything, CLOSED, integer, named, orNull, PAGE_FIELDS, pageOf, part, string } from './parts.ts'

const status = () => choice('queued', 'running', 'succeeded', 'failed', 'cancelled')

/** Each kind of job has a `result` of its own. */
export const Job = named('Job', {
  id: uuid(),
  kind: string('validation'),
  tenantId: orNull(uuid()),
  serverId: orNull(uuid()),
  runId: orNull(uuid()),
  status: status(),
  step: orNull(string()),
  progress: orNull(part({ done: integer(), total: integer() })),
  attempts: integer(),
  error: orNull(lastError()),
  result: orNull(anything()),
  createdAt: moment(),
  startedAt: orNull(moment()),
  finishedAt: orNull(moment()),
})
export const JobList = pageOf('JobList', Job)

export const JobQuery = Type.Object(
  {
    ...PAGE_FIELDS,
    kind: Type.Optional(text(100)),
    status: Type.Optional(status()),
    tenantId: Type.Optional(uuid()),
  },
  CLOSED,
)
