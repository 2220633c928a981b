import { defineResource, example, integer, text, uuid } from '../../../index.ts'
import { payments as table } from '../tables/records.ts'
import { credits } from './credits.ts'

/** One payment for each purchase of credits. A trigger writes it. */
export const payments = defineResource({
  name: 'payments',
  title: 'Payment',
  permission: 'credits',
  table,
  methods: [],
  fields: {
    creditId: uuid(),
    amount: example(100, integer(1)),
    paymentReference: example('invoice-2026-001', text(200)),
  },
  filters: ['creditId', 'paymentReference'],
  references: { creditId: credits },
})
