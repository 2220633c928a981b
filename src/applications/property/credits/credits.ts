import { eq } from 'drizzle-orm'
import { defineResource } from '../../../collections/define-resource.ts'
import { builder } from '../../../collections/query.ts'
import { compile, run, value } from '../../../collections/statement.ts'
import { int4, text } from '../../../lib/fields.ts'
import type { TenantSession } from '../../../tenant/session.ts'
import { creditBalances, credits as table } from '../tables/records.ts'

/** The ledger. What is above zero was bought, what is below was spent; triggers keep the balance and the payments. */
export const credits = defineResource({
  name: 'credits',
  title: 'Credit',
  permission: 'credits',
  table,
  methods: ['create'],
  fields: { amount: int4(), paymentReference: text(200) },
  filters: ['paymentReference'],
  constraints: {
    credits_amount_check: { field: 'amount', message: 'must not be 0' },
    credit_balances_balance_check: { field: 'amount', message: 'is more than the balance', code: 'CONFLICT' },
  },
})

const balanceStatement = compile(
  builder
    .select({ balance: creditBalances.balance })
    .from(creditBalances)
    .where(eq(creditBalances.tenantId, value('tenantId', creditBalances.tenantId))),
)

/** The sum of the tenant's ledger. */
export async function readBalance(session: TenantSession): Promise<number> {
  const { tenantId } = session
  const [row] = await run<{ balance: number }>(session, balanceStatement, { tenantId })
  return row?.balance ?? 0
}
