import { Type } from 'typebox'
import { choice, example, text, uuid } from '../../lib/fields.ts'
import { CLOSED, integer, named, orNull, part, string, strings, tenantName } from './parts.ts'
import { emailText, Password, shownName, userFields } from './user.ts'

const accessToken = () => string('eyJhbGciOiJFZERTQSIsInR5cCI6ImF0K2p3dCJ9.…')
const refreshToken = () => example('fhr_…', text(512))

export const TokenPair = named('TokenPair', {
  accessToken: accessToken(),
  refreshToken: string('fhr_…'),
  tokenType: choice('Bearer'),
  expiresIn: integer(900),
})

/** Has no refresh token, because a refresh token belongs to a single tenant. */
export const AccountToken = named('AccountToken', {
  accessToken: accessToken(),
  tokenType: choice('Bearer'),
  expiresIn: integer(900),
})

export const LoginBody = Type.Object(
  {
    tenantCode: text(80),
    email: Type.Optional(text(254)),
    username: Type.Optional(text(254)),
    password: Password,
  },
  {
    ...CLOSED,
    title: 'Login',
    // Each example has one of the two names: a body with both is refused.
    examples: [
      { tenantCode: 'acme-corp', email: 'ada@acme-corp.example', password: 'correct horse battery staple' },
    ],
  },
)

export const AccountLoginBody = Type.Object(
  { email: emailText(), password: Password },
  { ...CLOSED, title: 'AccountLogin' },
)

export const RefreshBody = Type.Object({ refreshToken: refreshToken() }, { ...CLOSED, title: 'Refresh' })

export const LogoutBody = Type.Object(
  { refreshToken: refreshToken(), everywhere: Type.Boolean({ default: false }) },
  { ...CLOSED, title: 'Logout' },
)

export const PasswordBody = Type.Object(
  { currentPassword: Password, newPassword: example('purple monkey dishwasher', Password) },
  { ...CLOSED, title: 'PasswordChange' },
)

/** A user has `user`. Any other caller has `user: null` and one of `clientKey`, `account` and `external`. */
export const Me = named(
  'Me',
  {
    user: orNull(part(userFields)),
    clientKey: Type.Optional(part({ id: uuid() })),
    account: Type.Optional(
      orNull(part({ id: uuid(), email: string('ada@acme-corp.example'), name: shownName() })),
    ),
    external: Type.Optional(part({ subject: string('https://login.acme-corp.example|ada') })),
    tenant: part(tenantName),
    roles: strings('admin'),
    permissions: strings('*'),
    actingFor: orNull(part(tenantName)),
  },
  {
    ...{ user: null, clientKey: { id: '01900000-0000-7000-8000-000000000001' } },
    tenant: { id: '01900000-0000-7000-8000-000000000002', code: 'acme-corp', name: 'Acme Corporation' },
    ...{ roles: [], permissions: ['users:read'], actingFor: null },
  },
)
