import type { Scope, Tagged, Tenant } from '../../../index.ts'
import { decline, type StatusChange, sign } from '../signatures/sign.ts'
import { signatures } from '../signatures/signatures.ts'

type ChangeStatus = (tenant: Tenant, change: StatusChange) => Promise<Tagged>

const document = {
  headers: ['etag'],
  asks: ['if-match'],
  codes: ['CONFLICT', 'PRECONDITION_FAILED'],
} as const

/** The routes that sign or decline a pending signature. */
export function signatureRoutes(scope: Scope): void {
  statusRoute(scope, { verb: 'sign', summary: 'Sign, and write the proof of it', changeStatus: sign })
  statusRoute(scope, { verb: 'decline', summary: 'Decline to sign', changeStatus: decline })
}

interface StatusRoute {
  readonly verb: 'sign' | 'decline'
  readonly summary: string
  readonly changeStatus: ChangeStatus
}

function statusRoute(scope: Scope, { verb, summary, changeStatus }: StatusRoute): void {
  const { params, row } = signatures.schemas
  const schema = { operationId: `${verb}Signature`, summary, params, response: { 200: row } }
  const options = { access: 'signatures:write', schema, document }
  scope.tenant.post(`/signatures/:id/${verb}`, options, async (request, reply) => {
    const { id } = request.params as { id: string }
    const change = { id, ifMatch: request.headers['if-match'], address: request.ip }
    const changed = await changeStatus(request.tenant, change)
    reply.header('etag', `"${changed.etag}"`)
    return changed.row
  })
}
