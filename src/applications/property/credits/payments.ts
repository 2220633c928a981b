import { defineResource } from '../../../collections/define-resource.ts'
import { int4, text, uuid } from '../../../lib/fields.ts'
import { payments as table } from '../tables/records.ts'
import { credits } from './credits.ts'

/** One a purchase of credits, written with it by a trigger. */
export const payments = defineResource({
  name: 'payments',
  title: 'Payment',
  permission: 'credits',
  table,
  methods: [],
  fields: { creditId: uuid(), amount: int4(1), paymentReference: text(200) },
  filters: ['creditId', 'paymentReference'],
  references: { creditId: credits },
})
