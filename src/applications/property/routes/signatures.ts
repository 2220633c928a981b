import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type { Tagged } from '../../../collections/model.ts'
import { idOf } from '../../../http/bodies.ts'
import { command } from '../../../http/command.ts'
import { PROBLEM_RESPONSES } from '../../../http/schemas.ts'
import type { TenantSession } from '../../../tenant/session.ts'
import { decline, type Signing, sign } from '../signatures/sign.ts'
import { signatures } from '../signatures/signatures.ts'

type Settle = (session: TenantSession, signing: Signing) => Promise<Tagged>

const config = {
  access: { kind: 'tenant', permission: 'signatures:write' },
  document: { headers: ['etag'], asks: ['if-match'], codes: ['CONFLICT', 'PRECONDITION_FAILED'] },
} as const

/** What may become of a pending signature. */
export function signatureRoutes(api: FastifyInstance): void {
  api.route(settleRoute('sign', 'Sign, and write the proof of it', sign))
  api.route(settleRoute('decline', 'Decline to sign', decline))
}

function settleRoute(verb: 'sign' | 'decline', summary: string, settle: Settle): RouteOptions {
  const { params, row } = signatures.schemas
  return command({
    url: `/signatures/:id/${verb}`,
    config,
    schema: {
      ...{ tags: ['signatures'], operationId: `${verb}Signature`, summary, params },
      response: { 200: row, ...PROBLEM_RESPONSES },
    },
    run: async (request, session) => {
      const settled = await settle(session, signingOf(request))
      return { status: 200, headers: { etag: `"${settled.etag}"` }, body: settled.row }
    },
  })
}

function signingOf({ params, headers, ip }: FastifyRequest): Signing {
  return { id: idOf(params), ifMatch: headers['if-match'], address: ip }
}
