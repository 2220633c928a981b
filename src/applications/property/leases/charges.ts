import { Type } from 'typebox'
import { defineResource } from '../../../collections/define-resource.ts'
import { cents, choice, currency, day, text, uuid } from '../../../lib/fields.ts'
import { charges as table } from '../tables/properties.ts'
import { leases } from './leases.ts'

export const charges = defineResource({
  name: 'charges',
  title: 'Charge',
  permission: 'leases',
  table,
  fields: {
    leaseId: uuid(),
    label: text(200),
    // Below zero is what the lessee gets back.
    amountCents: cents(),
    currency: currency(),
    dueOn: day(),
    status: Type.Optional(choice('due', 'paid', 'cancelled')),
  },
  filters: ['leaseId', 'status', 'dueOn'],
  sorts: ['createdAt', 'dueOn'],
  references: { leaseId: leases },
})
