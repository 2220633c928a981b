import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import type { AuditFilter, AuditRow } from '../../../catalog/audit/entries.ts'
import { invalidField } from '../../../errors.ts'
import { OPERATOR_READ } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { pageView } from '../../paging.ts'
import { contextOf } from '../../pipeline.ts'
import { AuditLog, AuditQuery, AuditVerdict } from '../../schemas/audit.ts'

const TAG: Tag = { name: 'audit', description: 'The audit log: who did what, when, and for which tenant.' }

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/audit-log', access: { kind: 'either', permission: 'audit:read' }, tag: TAG },
  ...{ operationId: 'listAuditLog', summary: 'List the entries of the audit log' },
  description:
    'Operators see all entries, other callers those of their tenant. Newest first, a page at a time.',
  query: AuditQuery,
  answers: { 200: AuditLog },
}

const VERIFY: Endpoint = {
  ...{ method: 'GET', url: '/audit-log/verify', access: OPERATOR_READ, tag: TAG },
  ...{
    operationId: 'verifyAuditLog',
    summary: 'Verify that no entry of the audit log was changed or removed',
  },
  description: 'If all entries since the last seal are unchanged, they are sealed.',
  answers: { 200: AuditVerdict },
}

/** The audit log. Operators see all of it. A tenant's auditors see their tenant's entries, without its placement. */
export function operatorAuditRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  serve(api, LIST, async (request) => {
    const query = request.query as Static<typeof AuditQuery>
    return pageView(await operations.listAudit(filterOf(query, request), query), auditView)
  })
  serve(api, VERIFY, () => operations.verifyAudit())
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

/**
 * A moment that the database can store. ISO 8601 also allows leap seconds, and years that JavaScript or PostgreSQL lacks.
 * @throws PublicError VALIDATION_FAILED
 */
function momentOf(text: string, pointer: string): Date {
  const moment = new Date(text)
  const year = moment.getUTCFullYear()
  if (year >= 1 && year <= 9999) return moment
  throw invalidField(pointer, 'must be a moment of the years 1 to 9999')
}

/** Only operators may name a tenant here. A tenant's caller gets an error, as for any unknown field. */
function scopeOf(named: string | undefined, request: FastifyRequest): string | undefined {
  if (request.principal.kind === 'operator') return named?.toLowerCase()
  if (named === undefined) return contextOf(request).tenantId
  throw invalidField('/tenantId', 'is not known here')
}

function auditView(row: AuditRow) {
  const { actorType, actorId, tenantId, actedForTenantId, requestId, address, before, after } = row
  const { id, seq, at, action } = row
  const actor = { type: actorType, id: actorId }
  return { id, seq, at, action, actor, tenantId, actedForTenantId, requestId, address, before, after }
}
