import type { SQL } from 'drizzle-orm'
import { sql } from 'drizzle-orm'
import { estates, leases, lessees, places } from '../tables/properties.ts'

/** A lease with its estate, place and lessees at one moment. A document keeps these terms even if the rows change later. */
export interface LeaseTerms {
  readonly lease: {
    readonly id: string
    readonly startsOn: string
    readonly endsOn: string | null
    readonly rentCents: number
    readonly currency: string
    readonly depositCents: number | null
  }
  readonly estate: {
    readonly name: string
    readonly reference: string | null
    readonly surfaceM2: number | null
    readonly floor: number | null
  }
  readonly place: {
    readonly name: string
    readonly address: Readonly<Partial<Record<AddressPart, string>>> | null
  }
  /** In the order of the lease. */
  readonly lessees: readonly {
    readonly kind: 'person' | 'company'
    readonly name: string
    readonly email: string | null
    readonly phone: string | null
  }[]
}

type AddressPart = 'line1' | 'line2' | 'postalCode' | 'city' | 'country'

/**
 * SQL that reads the terms. It is part of the statement that stores them, so both see the same rows. Null if the tenant has no such
 * lease; then the document's foreign key reports the error.
 */
export function termsOf(tenantId: SQL, leaseId: SQL): SQL {
  return sql`(select jsonb_build_object(
    'lease', jsonb_build_object('id', ${leases.id}, 'startsOn', ${leases.startsOn}, 'endsOn', ${leases.endsOn},
      'rentCents', ${leases.rentCents}, 'currency', ${leases.currency}, 'depositCents', ${leases.depositCents}),
    'estate', jsonb_build_object('name', ${estates.name}, 'reference', ${estates.reference},
      'surfaceM2', ${estates.surfaceM2}, 'floor', ${estates.floor}),
    'place', jsonb_build_object('name', ${places.name}, 'address', ${places.address}),
    'lessees', (select jsonb_agg(jsonb_build_object('kind', ${lessees.kind}, 'name', ${lessees.name},
        'email', ${lessees.email}, 'phone', ${lessees.phone}) order by named.position)
      from unnest(${leases.lesseeIds}) with ordinality as named(id, position)
      join ${lessees} on ${lessees.tenantId} = ${leases.tenantId} and ${lessees.id} = named.id))
    from ${leases}
    join ${estates} on ${estates.tenantId} = ${leases.tenantId} and ${estates.id} = ${leases.estateId}
    join ${places} on ${places.tenantId} = ${estates.tenantId} and ${places.id} = ${estates.placeId}
    where ${leases.tenantId} = ${tenantId} and ${leases.id} = ${leaseId})`
}
