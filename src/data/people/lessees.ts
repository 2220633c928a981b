import { Type } from 'typebox'
import { lessees as table } from '../../tenant/schema.ts'
import { defineResource } from '../define-resource.ts'
import { choice, email, phone, text } from '../fields.ts'

export const lessees = defineResource({
  name: 'lessees',
  title: 'Lessee',
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
  constraints: { lessees_email_key: { field: 'email' } },
})
