import { Type } from 'typebox'
import { choice } from '../../lib/fields.ts'
import { integer, named, orNull, part, string } from './parts.ts'

export const Status = named('Status', { status: choice('ok') })

export const Readiness = named('Readiness', {
  status: choice('ready', 'starting', 'key-missing', 'connections-missing', 'draining'),
  waitsFor: Type.Optional(choice('held-by-others', 'more-replicas-than-connections')),
})

const partHealth = () => part({ status: choice('ok', 'read-only', 'down'), latencyMs: orNull(Type.Number()) })

export const Health = named('Health', {
  status: choice('ok', 'degraded', 'unavailable'),
  version: string(),
  uptimeSeconds: integer(),
  activePools: integer(),
  cachedConfigs: integer(),
  connections: part({ open: integer(), max: integer() }),
  catalog: partHealth(),
  shared: partHealth(),
  databases: part({
    pending_validation: integer(),
    active: integer(),
    failed: integer(),
    inactive: integer(),
  }),
  schema: part({ current: integer(), behind: integer(), failed: integer() }),
})

export const AnyDocument = Type.Object({}, { additionalProperties: true, title: 'OpenApiDocument' })
