import type { FastifyInstance } from 'fastify'
import { Type } from 'typebox'
import { PROBLEM_RESPONSES } from '../../../http/schemas.ts'
import { readBalance } from '../credits/credits.ts'

const READ = { access: { kind: 'tenant', permission: 'credits:read' } } as const

const Balance = Type.Object({ balance: Type.Integer() }, { additionalProperties: false, title: 'Balance' })

/** What the ledger of `/credits` comes to. */
export function creditRoutes(api: FastifyInstance): void {
  const schema = {
    tags: ['credits'],
    operationId: 'readBalance',
    summary: 'The sum of all credits bought and spent',
    response: { 200: Balance, ...PROBLEM_RESPONSES },
  }
  api.get('/credits/balance', { config: READ, schema }, async ({ tenant }) => ({
    balance: await readBalance(tenant.session),
  }))
}
