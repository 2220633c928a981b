import { Type } from 'typebox'
import { choice, day, defineResource, example, text, uuid } from '../../../index.ts'
import { equipment as table } from '../tables/properties.ts'
import { rooms } from './rooms.ts'

export const equipment = defineResource({
  name: 'equipment',
  title: 'Equipment',
  permission: 'properties',
  table,
  fields: {
    roomId: uuid(),
    name: example('Boiler', text(200)),
    condition: Type.Optional(choice('new', 'good', 'fair', 'poor')),
    acquiredOn: Type.Optional(day()),
  },
  filters: ['roomId', 'name', 'condition'],
  sorts: ['createdAt', 'name'],
  references: { roomId: rooms },
})
