import { Type } from 'typebox'
import { defineResource } from '../../../collections/define-resource.ts'
import { number, text, uuid } from '../../../lib/fields.ts'
import { rooms as table } from '../tables/properties.ts'
import { estates } from './estates.ts'

export const rooms = defineResource({
  name: 'rooms',
  title: 'Room',
  permission: 'properties',
  table,
  fields: {
    estateId: uuid(),
    name: text(200),
    kind: Type.Optional(text(50)),
    surfaceM2: Type.Optional(number(0, 1e9)),
  },
  filters: ['estateId', 'name'],
  sorts: ['createdAt', 'name'],
  references: { estateId: estates },
})
