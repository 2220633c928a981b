import { Type } from 'typebox'
import { defineResource } from '../../../collections/define-resource.ts'
import { choice, email, phone, text } from '../../../lib/fields.ts'
import { owners as table } from '../tables/properties.ts'

export const owners = defineResource({
  name: 'owners',
  title: 'Owner',
  permission: 'lessees',
  table,
  fields: {
    kind: choice('person', 'company'),
    name: text(200),
    email: Type.Optional(email()),
    phone: Type.Optional(phone()),
  },
  filters: ['kind', 'name', 'email'],
  caseless: { email: table.emailFolded },
  sorts: ['createdAt', 'name'],
  constraints: { owners_email_key: { field: 'email' } },
})
