import type { FastifyInstance } from 'fastify'
import { type Static, Type } from 'typebox'
import { loginAccount } from '../../identity/login/account-login.ts'
import { text } from '../../lib/fields.ts'
import type { HttpDeps } from '../deps.ts'
import { CLOSED, Password } from '../transport/bodies.ts'

const OPEN = { access: { kind: 'open', counted: true } } as const

const AccountLoginBody = Type.Object(
  { email: text(254), password: Password },
  { ...CLOSED, title: 'AccountLogin' },
)

/** Signing in for all tenants of an account at once. */
export function accountRoutes(api: FastifyInstance, { accountSignIn }: HttpDeps): void {
  const options = { config: OPEN, schema: { body: AccountLoginBody } }
  api.post('/auth/accounts/login', options, async ({ body, id, ip }) => {
    const credentials = body as Static<typeof AccountLoginBody>
    return loginAccount(accountSignIn, credentials, { requestId: id, address: ip })
  })
}
