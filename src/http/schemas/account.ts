import { Type } from 'typebox'
import { choice, moment, text, uuid } from '../../lib/fields.ts'
import { CLOSED, named, PAGE_FIELDS, pageOf, string, strings } from './parts.ts'
import { emailText, Password, personName, RoleNames, shownName } from './user.ts'

export const Membership = named('Membership', {
  tenantId: uuid(),
  tenantCode: string('acme-corp'),
  roles: strings('admin'),
})

export const Account = named('Account', {
  id: uuid(),
  email: string('ada@acme-corp.example'),
  name: shownName(),
  status: choice('ACTIVE', 'INACTIVE'),
  roles: strings('admin'),
  memberships: Type.Array(Membership),
  createdAt: moment(),
  updatedAt: moment(),
})
export const AccountList = pageOf('AccountList', Account)

export const MembershipBody = Type.Object({ roles: RoleNames }, { ...CLOSED, title: 'MembershipRoles' })

export const NewAccountBody = Type.Object(
  {
    email: emailText(),
    password: Password,
    name: personName(),
    roles: Type.Optional(RoleNames),
    memberships: Type.Optional(
      Type.Array(Type.Object({ tenantId: uuid(), roles: RoleNames }, CLOSED), { maxItems: 100 }),
    ),
  },
  { ...CLOSED, title: 'NewAccount' },
)

export const AccountPatchBody = Type.Object(
  {
    email: Type.Optional(emailText()),
    password: Type.Optional(Password),
    name: personName(),
    status: Type.Optional(choice('ACTIVE', 'INACTIVE')),
    roles: Type.Optional(RoleNames),
  },
  { ...CLOSED, title: 'AccountPatch' },
)

export const AccountListQuery = Type.Object({ ...PAGE_FIELDS, q: Type.Optional(text(200)) }, CLOSED)
