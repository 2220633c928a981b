import { Type } from 'typebox'
import { cents, choice, currency, day, defineResource, example, text, uuid } from '../../../index.ts'
import { charges as table } from '../tables/properties.ts'
import { leases } from './leases.ts'

export const charges = defineResource({
  name: 'charges',
  title: 'Charge',
  permission: 'leases',
  table,
  fields: {
    leaseId: uuid(),
    label: example('Rent of January', text(200)),
    // A negative amount is paid back to the lessee.
    amountCents: example(125_000, cents()),
    currency: currency(),
    dueOn: day(),
    status: Type.Optional(choice('due', 'paid', 'cancelled')),
  },
  filters: ['leaseId', 'status', 'dueOn'],
  sorts: ['createdAt', 'dueOn'],
  references: { leaseId: leases },
})
