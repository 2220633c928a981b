import { Type } from 'typebox'
import { choice, example, moment, nullable, text, uuid } from '../../lib/fields.ts'
import { CLOSED, named, orNull, pageOf, string, strings } from './parts.ts'

/** No longer than the longest password that is hashed. The tenant's policy has the other rules. */
export const Password = Type.String({
  minLength: 1,
  maxLength: 1024,
  examples: ['correct horse battery staple'],
})

export const emailText = () => example('ada@acme-corp.example', text(254))
export const personName = () => Type.Optional(nullable(example('Ada Lovelace', text(200))))
export const RoleNames = Type.Array(text(100), { maxItems: 50, uniqueItems: true, examples: [['admin']] })

/** A person's name in an answer. */
export const shownName = () => orNull(string('Ada Lovelace'))

export const userFields = {
  id: uuid(),
  email: string('ada@acme-corp.example'),
  username: orNull(string('ada')),
  name: shownName(),
  taxNumber: orNull(string('NL001234567B01')),
  status: choice('ACTIVE', 'INACTIVE'),
  roles: strings('admin'),
  createdAt: moment(),
  updatedAt: moment(),
}

export const User = named('User', userFields)
export const UserList = pageOf('UserList', User)

export const NewUserBody = Type.Object(
  {
    email: emailText(),
    password: Password,
    username: Type.Optional(nullable(example('ada', text(100)))),
    name: personName(),
    taxNumber: Type.Optional(nullable(example('NL001234567B01', text(50)))),
    roles: Type.Optional(RoleNames),
  },
  { ...CLOSED, title: 'NewUser' },
)

export const UserPatchBody = Type.Object(
  {
    email: Type.Optional(emailText()),
    username: Type.Optional(nullable(example('ada', text(100)))),
    name: personName(),
    taxNumber: Type.Optional(nullable(example('NL001234567B01', text(50)))),
    status: Type.Optional(choice('ACTIVE', 'INACTIVE')),
    roles: Type.Optional(RoleNames),
    password: Type.Optional(Password),
  },
  { ...CLOSED, title: 'UserPatch' },
)
