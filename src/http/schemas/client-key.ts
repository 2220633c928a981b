import { Type } from 'typebox'
import { example, moment, text, uuid } from '../../lib/fields.ts'
import { CLOSED, named, orNull, pageOf, string, strings } from './parts.ts'
import { permissionNames } from './role.ts'

const keyFields = {
  id: uuid(),
  name: string('Nightly import'),
  permissions: strings('users:read', 'users:write'),
  prefix: string('fhk_5f2b'),
  createdAt: moment(),
  expiresAt: orNull(moment()),
}

export const ClientKey = named('ClientKey', { ...keyFields, lastUsedAt: orNull(moment()) })
export const ClientKeyList = pageOf('ClientKeyList', ClientKey)

/** Has the key itself, which is shown only once. */
export const CreatedClientKey = named('CreatedClientKey', { ...keyFields, key: string('fhk_…') })

export const NewClientKeyBody = Type.Object(
  {
    name: example('Nightly import', text(200)),
    permissions: permissionNames(),
    expiresAt: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })),
  },
  { ...CLOSED, title: 'NewClientKey' },
)
