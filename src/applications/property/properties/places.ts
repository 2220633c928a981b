import { Type } from 'typebox'
import { choice, country, defineResource, example, number, parts, text } from '../../../index.ts'
import { places as table } from '../tables/properties.ts'

export const places = defineResource({
  name: 'places',
  title: 'Place',
  permission: 'properties',
  table,
  fields: {
    name: example('Garden Court', text(200)),
    kind: Type.Optional(choice('building', 'land', 'parking', 'other')),
    address: Type.Optional(
      parts({
        line1: example('12 Mill Lane', text(200)),
        line2: example('Flat 3', text(200)),
        postalCode: example('2611 AB', text(20)),
        city: example('Delft', text(100)),
        country: country(),
      }),
    ),
    latitude: Type.Optional(example(52.0116, number(-90, 90))),
    longitude: Type.Optional(example(4.3571, number(-180, 180))),
  },
  filters: ['name', 'kind'],
  sorts: ['createdAt', 'name'],
})
