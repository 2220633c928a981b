import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import { loginAccount } from '../../identity/login/account-login.ts'
import type { HttpDeps } from '../deps.ts'
import { type Endpoint, serve } from '../endpoint.ts'
import { AccountLoginBody, AccountToken } from '../schemas/login.ts'
import { AUTH } from './auth.ts'

const LOGIN: Endpoint = {
  ...{ method: 'POST', url: '/auth/accounts/login', access: { kind: 'open', counted: true } },
  ...{ tag: AUTH, operationId: 'loginAccount', summary: 'Log in to an account' },
  description: 'The access token is valid in all tenants of the account. There is no refresh token.',
  body: AccountLoginBody,
  answers: { 200: AccountToken },
  errors: ['INVALID_CREDENTIALS', 'ACCOUNT_LOCKED', 'CONFLICT'],
}

/** The login of accounts, which are members of several tenants. */
export function accountRoutes(api: FastifyInstance, { accountSignIn }: HttpDeps): void {
  serve(api, LOGIN, async ({ body, id, ip }) => {
    const credentials = body as Static<typeof AccountLoginBody>
    return loginAccount(accountSignIn, credentials, { requestId: id, address: ip })
  })
}
