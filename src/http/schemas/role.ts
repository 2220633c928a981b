import { Type } from 'typebox'
import { CORE_PERMISSIONS } from '../../identity/access/permissions.ts'
import { example, moment, nullable, text, uuid } from '../../lib/fields.ts'
import { CLOSED, named, orNull, pageOf, string, strings } from './parts.ts'

export const permissionNames = () =>
  Type.Array(text(100), { maxItems: 100, uniqueItems: true, examples: [['users:read', 'users:write']] })

export const ROLE_FIELDS = {
  name: example('caretaker', text(100)),
  description: Type.Optional(nullable(example('Looks after the accounts', text(200)))),
  permissions: permissionNames(),
}

export const NewRoleBody = Type.Object({ ...ROLE_FIELDS }, { ...CLOSED, title: 'NewRole' })

export const RolePatchBody = Type.Object(
  {
    ...ROLE_FIELDS,
    ...{ name: Type.Optional(ROLE_FIELDS.name), permissions: Type.Optional(ROLE_FIELDS.permissions) },
  },
  { ...CLOSED, title: 'RolePatch' },
)

export const Role = named('Role', {
  id: uuid(),
  name: string('caretaker'),
  description: orNull(string('Looks after the accounts')),
  permissions: strings('users:read', 'users:write'),
  createdAt: moment(),
  updatedAt: moment(),
})
export const RoleList = pageOf('RoleList', Role)

export const Permissions = named('Permissions', { data: strings() }, { data: CORE_PERMISSIONS })
