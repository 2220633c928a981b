import { Type } from 'typebox'
import { defineResource, example, number, text, uuid } from '../../../index.ts'
import { rooms as table } from '../tables/properties.ts'
import { estates } from './estates.ts'

export const rooms = defineResource({
  name: 'rooms',
  title: 'Room',
  permission: 'properties',
  table,
  fields: {
    estateId: uuid(),
    name: example('Kitchen', text(200)),
    kind: Type.Optional(text(50)),
    surfaceM2: Type.Optional(example(12.5, number(0, 1e9))),
  },
  filters: ['estateId', 'name'],
  sorts: ['createdAt', 'name'],
  references: { estateId: estates },
})
