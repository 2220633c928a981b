import { Type } from 'typebox'
import { defineResource } from '../../../collections/define-resource.ts'
import { choice, country, number, parts, text } from '../../../lib/fields.ts'
import { places as table } from '../tables/properties.ts'

export const places = defineResource({
  name: 'places',
  title: 'Place',
  permission: 'properties',
  table,
  fields: {
    name: text(200),
    kind: Type.Optional(choice('building', 'land', 'parking', 'other')),
    address: Type.Optional(
      parts({
        line1: text(200),
        line2: text(200),
        postalCode: text(20),
        city: text(100),
        country: country(),
      }),
    ),
    latitude: Type.Optional(number(-90, 90)),
    longitude: Type.Optional(number(-180, 180)),
  },
  filters: ['name', 'kind'],
  sorts: ['createdAt', 'name'],
})
