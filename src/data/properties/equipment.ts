import { Type } from 'typebox'
import { equipment as table } from '../../tenant/schema.ts'
import { defineResource } from '../define-resource.ts'
import { choice, day, text, uuid } from '../fields.ts'
import { rooms } from './rooms.ts'

export const equipment = defineResource({
  name: 'equipment',
  title: 'Equipment',
  permission: 'properties',
  table,
  fields: {
    roomId: uuid(),
    name: text(200),
    condition: Type.Optional(choice('new', 'good', 'fair', 'poor')),
    acquiredOn: Type.Optional(day()),
  },
  filters: ['roomId', 'name', 'condition'],
  sorts: ['createdAt', 'name'],
  references: { roomId: rooms },
})
