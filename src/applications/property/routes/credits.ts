import { Type } from 'typebox'
import type { Scope } from '../../../index.ts'
import { readBalance } from '../credits/credits.ts'

const Balance = Type.Object({ balance: Type.Integer() }, { additionalProperties: false, title: 'Balance' })

/** The balance of the ledger `/credits`. */
export function creditRoutes(scope: Scope): void {
  const schema = {
    operationId: 'readBalance',
    summary: 'The sum of all credits bought and spent',
    response: { 200: Balance },
  }
  scope.tenant.get('/credits/balance', { access: 'credits:read', schema }, async ({ tenant }) => ({
    balance: await readBalance(tenant),
  }))
}
