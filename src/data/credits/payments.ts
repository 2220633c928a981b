import { payments as table } from '../../tenant/schema.ts'
import { defineResource } from '../define-resource.ts'
import { int4, text, uuid } from '../fields.ts'
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
