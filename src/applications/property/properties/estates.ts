import { Type } from 'typebox'
import { defineResource, example, integer, number, text, uuid } from '../../../index.ts'
import { estates as table } from '../tables/properties.ts'
import { places } from './places.ts'

export const estates = defineResource({
  name: 'estates',
  title: 'Estate',
  permission: 'properties',
  table,
  fields: {
    placeId: uuid(),
    name: example('Flat 12', text(200)),
    reference: Type.Optional(example('GC-12', text(100))),
    surfaceM2: Type.Optional(example(84.5, number(0, 1e9))),
    floor: Type.Optional(example(2, integer())),
  },
  filters: ['placeId', 'name', 'reference'],
  sorts: ['createdAt', 'name'],
  references: { placeId: places },
})
