import type { Scope, Tagged, Tenant } from '../../../index.ts'
import { decline, type Signing, sign } from '../signatures/sign.ts'
import { signatures } from '../signatures/signatures.ts'

type Settle = (tenant: Tenant, signing: Signing) => Promise<Tagged>

const document = {
  headers: ['etag'],
  asks: ['if-match'],
  codes: ['CONFLICT', 'PRECONDITION_FAILED'],
} as const

/** What may become of a pending signature. */
export function signatureRoutes(scope: Scope): void {
  settleRoute(scope, { verb: 'sign', summary: 'Sign, and write the proof of it', settle: sign })
  settleRoute(scope, { verb: 'decline', summary: 'Decline to sign', settle: decline })
}

interface Settling {
  readonly verb: 'sign' | 'decline'
  readonly summary: string
  readonly settle: Settle
}

function settleRoute(scope: Scope, { verb, summary, settle }: Settling): void {
  const { params, row } = signatures.schemas
  const schema = { operationId: `${verb}Signature`, summary, params, response: { 200: row } }
  const options = { access: 'signatures:write', schema, document }
  scope.tenant.post(`/signatures/:id/${verb}`, options, async (request, reply) => {
    const { id } = request.params as { id: string }
    const signing = { id, ifMatch: request.headers['if-match'], address: request.ip }
    const settled = await settle(request.tenant, signing)
    reply.header('etag', `"${settled.etag}"`)
    return settled.row
  })
}
