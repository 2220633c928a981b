import { Type } from 'typebox'
import { defineResource, email, example, phone, text, uuid } from '../../../index.ts'
import { contacts as table } from '../tables/properties.ts'
import { lessees } from './lessees.ts'
import { owners } from './owners.ts'

export const contacts = defineResource({
  name: 'contacts',
  title: 'Contact',
  permission: 'lessees',
  table,
  fields: {
    name: example('Ada Lovelace', text(200)),
    email: Type.Optional(email()),
    phone: Type.Optional(phone()),
    role: Type.Optional(text(100)),
    lesseeId: Type.Optional(uuid()),
    ownerId: Type.Optional(uuid()),
  },
  filters: ['name', 'email', 'lesseeId', 'ownerId'],
  caseless: { email: table.emailFolded },
  sorts: ['createdAt', 'name'],
  references: { lesseeId: lessees, ownerId: owners },
})
