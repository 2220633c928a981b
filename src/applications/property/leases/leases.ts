import { Type } from 'typebox'
import { cents, choice, currency, day, defineResource, example, uuid, uuids } from '../../../index.ts'
import { estates } from '../properties/estates.ts'
import { leases as table } from '../tables/properties.ts'

const MAX_LESSEES = 20

export const leases = defineResource({
  name: 'leases',
  title: 'Lease',
  permission: 'leases',
  table,
  fields: {
    estateId: uuid(),
    lesseeIds: uuids(1, MAX_LESSEES),
    startsOn: day(),
    endsOn: Type.Optional(day()),
    rentCents: example(125_000, cents(0)),
    currency: currency(),
    depositCents: Type.Optional(example(250_000, cents(0))),
    status: Type.Optional(choice('draft', 'active', 'ended')),
  },
  filters: ['estateId', 'status', 'startsOn'],
  sorts: ['createdAt', 'startsOn'],
  references: { estateId: estates },
  constraints: {
    lease_lessees_lessee_fkey: { field: 'lesseeIds' },
    leases_overlap_excl: { field: 'startsOn', message: 'shares days with another lease of this estate' },
    leases_days_check: { field: 'endsOn', message: 'must not be before startsOn' },
  },
})
