import { Type } from 'typebox'
import { defineResource } from '../../../collections/define-resource.ts'
import { int4, number, text, uuid } from '../../../lib/fields.ts'
import { estates as table } from '../tables/properties.ts'
import { places } from './places.ts'

export const estates = defineResource({
  name: 'estates',
  title: 'Estate',
  permission: 'properties',
  table,
  fields: {
    placeId: uuid(),
    name: text(200),
    reference: Type.Optional(text(100)),
    surfaceM2: Type.Optional(number(0, 1e9)),
    floor: Type.Optional(int4()),
  },
  filters: ['placeId', 'name', 'reference'],
  sorts: ['createdAt', 'name'],
  references: { placeId: places },
})
