import { eq } from 'drizzle-orm'
import { defineResource, example, integer, type Tenant, text } from '../../../index.ts'
import { creditBalances, credits as table } from '../tables/records.ts'

/** The ledger of credits: positive amounts were bought, negative ones spent. Triggers write the balance and the payments. */
export const credits = defineResource({
  name: 'credits',
  title: 'Credit',
  permission: 'credits',
  table,
  methods: ['create'],
  fields: { amount: example(100, integer()), paymentReference: example('invoice-2026-001', text(200)) },
  filters: ['paymentReference'],
  constraints: {
    credits_amount_check: { field: 'amount', message: 'must not be 0' },
    credit_balances_balance_check: { field: 'amount', message: 'is more than the balance', code: 'CONFLICT' },
  },
})

/** The sum of the tenant's ledger. */
export async function readBalance({ id, db }: Tenant): Promise<number> {
  const { tenantId, balance } = creditBalances
  const [row] = await db.select({ balance }).from(creditBalances).where(eq(tenantId, id))
  return row?.balance ?? 0
}
