import type { Tenant } from '../../index.ts'
import { addDemoRows, type DemoPlace } from './demo-rows.ts'
import { places } from './tables/properties.ts'

/** The places of each demo tenant, by its code. A tenant that is not listed gets no rows. */
const DEMO_PLACES: Readonly<Record<string, readonly DemoPlace[]>> = {
  'acme-corp': [
    {
      name: 'Harbour House',
      kind: 'building',
      address: { line1: 'Wijnhaven 21', postalCode: '3011 WH', city: 'Rotterdam', country: 'NL' },
      ...{ latitude: 51.9189, longitude: 4.4889, rentCents: 124500, currency: 'EUR' },
      estates: [
        'Apartment 1A',
        'Apartment 1B',
        'Apartment 2A',
        'Apartment 2B',
        'Apartment 3A',
        'Apartment 3B',
        'Apartment 4A',
        'Penthouse',
      ],
    },
    {
      name: 'Mill Lane Parking',
      kind: 'parking',
      address: { line1: 'Molenstraat 8', postalCode: '3512 AB', city: 'Utrecht', country: 'NL' },
      ...{ latitude: 52.0907, longitude: 5.1214, rentCents: 9500, currency: 'EUR' },
      estates: ['Bay 1', 'Bay 2', 'Bay 3', 'Bay 4', 'Bay 5', 'Bay 6'],
    },
  ],
  globex: [
    {
      name: 'Station Square 4',
      kind: 'building',
      address: { line1: 'Koningin Astridplein 4', postalCode: '2018', city: 'Antwerp', country: 'BE' },
      ...{ latitude: 51.2172, longitude: 4.4211, rentCents: 210000, currency: 'EUR' },
      estates: [
        'Office 1',
        'Office 2',
        'Office 3',
        'Office 4',
        'Office 5',
        'Office 6',
        'Office 7',
        'Office 8',
      ],
    },
  ],
  initech: [
    {
      name: 'Old Brewery',
      kind: 'building',
      address: { line1: 'Kraanlei 55', postalCode: '9000', city: 'Ghent', country: 'BE' },
      ...{ latitude: 51.0573, longitude: 3.724, rentCents: 138000, currency: 'EUR' },
      estates: ['Loft 11', 'Loft 12', 'Loft 13', 'Loft 14', 'Studio 1', 'Studio 2', 'Studio 3'],
    },
  ],
  'umbrella-north': [
    {
      name: 'Lighthouse Row',
      kind: 'building',
      address: { line1: 'Fjellveien 12', postalCode: '5019', city: 'Bergen', country: 'NO' },
      ...{ latitude: 60.3975, longitude: 5.3297, rentCents: 1450000, currency: 'NOK' },
      estates: ['Cottage 5', 'Cottage 6', 'Cottage 7'],
    },
  ],
}

/** Adds about a hundred rows to a demo tenant, unless it already has places. */
export async function seedDemoRows(tenant: Tenant): Promise<void> {
  const own = DEMO_PLACES[tenant.code]
  if (own === undefined) return
  if ((await tenant.db.select({ id: places.id }).from(places).limit(1)).length > 0) return
  await addDemoRows(tenant, own)
}
