import { Type } from 'typebox'
import { choice, defineResource, email, example, phone, text } from '../../../index.ts'
import { owners as table } from '../tables/properties.ts'

export const owners = defineResource({
  name: 'owners',
  title: 'Owner',
  permission: 'lessees',
  table,
  fields: {
    kind: choice('person', 'company'),
    name: example('Ada Lovelace', text(200)),
    email: Type.Optional(email()),
    phone: Type.Optional(phone()),
  },
  filters: ['kind', 'name', 'email'],
  caseless: { email: table.emailFolded },
  sorts: ['createdAt', 'name'],
  constraints: { owners_email_key: { field: 'email' } },
})
