import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import type { AuditFilter, AuditRow } from '../../../catalog/audit/entries.ts'
import { fail } from '../../../errors.ts'
import { text, uuid } from '../../../lib/fields.ts'
import type { HttpDeps } from '../../deps.ts'
import { contextOf } from '../../pipeline.ts'
import { CLOSED, momentOf, PAGE_FIELDS, pageView } from '../../transport/bodies.ts'

const AuditQuery = Type.Object(
  {
    ...PAGE_FIELDS,
    tenantId: Type.Optional(uuid()),
    actor: Type.Optional(text(200)),
    action: Type.Optional(text(100)),
    from: Type.Optional(Type.String({ format: 'date-time' })),
    to: Type.Optional(Type.String({ format: 'date-time' })),
  },
  CLOSED,
)

/** Who did what. Operators see all of it, a tenant's auditors what concerns their tenant but not where it lives. */
export function operatorAuditRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  api.get(
    '/audit-log',
    {
      config: { access: { kind: 'either', permission: 'audit:read' } },
      schema: { querystring: AuditQuery },
    },
    async (request) => {
      const query = request.query as Static<typeof AuditQuery>
      return pageView(await operations.listAudit(filterOf(query, request), query), auditView)
    },
  )
  api.get('/audit-log/verify', { config: { access: { kind: 'operator', write: false } } }, () =>
    operations.verifyAudit(),
  )
}

function filterOf(query: Static<typeof AuditQuery>, request: FastifyRequest): AuditFilter {
  const { actor, action, from, to } = query
  const tenantId = scopeOf(query.tenantId, request)
  return {
    ...(tenantId !== undefined && { tenantId }),
    ...(actor !== undefined && { actor }),
    ...(action !== undefined && { action }),
    ...(from !== undefined && { from: momentOf(from, '/from') }),
    ...(to !== undefined && { to: momentOf(to, '/to') }),
    ...(request.principal.kind !== 'operator' && { hidePlacement: true }),
  }
}

/** A tenant cannot name a tenant, not even itself: elsewhere in its API that is refused as well. */
function scopeOf(named: string | undefined, request: FastifyRequest): string | undefined {
  if (request.principal.kind === 'operator') return named?.toLowerCase()
  if (named === undefined) return contextOf(request).tenantId
  throw fail('VALIDATION_FAILED', { errors: [{ pointer: '/tenantId', message: 'is not known here' }] })
}

function auditView(row: AuditRow) {
  const { actorType, actorId, tenantId, actedForTenantId, requestId, address, before, after } = row
  const { id, seq, at, action } = row
  const actor = { type: actorType, id: actorId }
  return { id, seq, at, action, actor, tenantId, actedForTenantId, requestId, address, before, after }
}
