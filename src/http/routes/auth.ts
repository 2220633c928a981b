import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Static } from 'typebox'
import { fail, PublicError } from '../../errors.ts'
import { login } from '../../identity/login/login.ts'
import { logout } from '../../identity/login/logout.ts'
import { changePassword } from '../../identity/login/own-password.ts'
import { refresh } from '../../identity/login/refresh.ts'
import type { Origin } from '../../identity/login/sign-in.ts'
import { typedCode } from '../../identity/people/names.ts'
import { findUser, publicUser } from '../../identity/people/users.ts'
import { TENANT_DATABASE_CODES } from '../answer-codes.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'
import { type Endpoint, serve, type Tag } from '../endpoint.ts'
import { actorOf, contextOf, type TenantContext } from '../pipeline.ts'
import { LoginBody, LogoutBody, Me, PasswordBody, RefreshBody, TokenPair } from '../schemas/login.ts'
import { EmptyBody } from '../schemas/problem.ts'

export const AUTH: Tag = {
  name: 'auth',
  description: 'Log in, refresh tokens, log out, and read the public keys that verify access tokens.',
}

const OPEN = { kind: 'open' } as const
/** Attempts with a credential are counted by the caller's address. */
const COUNTED = { kind: 'open', counted: true } as const
const ANY_CALLER = { kind: 'tenant', permission: null } as const

/** CONFLICT: the user has more roles and permissions than a token can hold. */
const LOGIN_CODES = [
  'TENANT_NOT_FOUND',
  'INVALID_CREDENTIALS',
  'CONFLICT',
  ...TENANT_DATABASE_CODES,
  'OUTCOME_UNKNOWN',
] as const

const LOGIN: Endpoint = {
  ...{ method: 'POST', url: '/auth/login', access: COUNTED },
  ...{ tag: AUTH, operationId: 'login', summary: 'Log in to a tenant with a password' },
  description:
    'Give `email` or `username`, not both. Some wrong passwords in a row lock the user for a while.',
  requestHeaders: ['tenant-code'],
  body: LoginBody,
  answers: { 200: TokenPair },
  errors: [...LOGIN_CODES, 'TENANT_AMBIGUOUS', 'ACCOUNT_LOCKED'],
}

const REFRESH: Endpoint = {
  ...{ method: 'POST', url: '/auth/refresh', access: COUNTED },
  ...{ tag: AUTH, operationId: 'refresh', summary: 'Exchange a refresh token for a new pair of tokens' },
  description:
    'A refresh token is valid once. If it is used again after `refreshReuseSeconds`, its login session ends.',
  requestHeaders: ['tenant-code'],
  body: RefreshBody,
  answers: { 200: TokenPair },
  errors: [...LOGIN_CODES, 'TENANT_AMBIGUOUS', 'REFRESH_TOKEN_REUSED'],
}

const LOGOUT: Endpoint = {
  ...{ method: 'POST', url: '/auth/logout', access: OPEN },
  ...{ tag: AUTH, operationId: 'logout', summary: 'End one login session or all of them' },
  description: 'The refresh tokens of an ended login session are not valid any more.',
  requestHeaders: ['tenant-code'],
  body: LogoutBody,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
  errors: [...TENANT_DATABASE_CODES, 'TENANT_AMBIGUOUS', 'OUTCOME_UNKNOWN'],
}

const CHANGE_PASSWORD: Endpoint = {
  ...{ method: 'POST', url: '/auth/password', access: ANY_CALLER },
  ...{ tag: AUTH, operationId: 'changePassword', summary: "Change the caller's own password" },
  description: 'Ends all login sessions of the user and revokes all access tokens of the user.',
  body: PasswordBody,
  answers: { 204: EmptyBody },
  answerHeaders: ['freehold-effective'],
  errors: ['ACCOUNT_LOCKED'],
}

const READ_ME: Endpoint = {
  ...{ method: 'GET', url: '/auth/me', access: ANY_CALLER },
  ...{ tag: AUTH, operationId: 'readMe', summary: 'Read who calls, and with which permissions' },
  description:
    'A user has `user`. Any other caller has `user: null` and one of `clientKey`, `account` and `external`.',
  answers: { 200: Me },
}

/** Login, refresh and logout need no access token: the caller shows a password or a refresh token. */
export function authRoutes(api: FastifyInstance, deps: HttpDeps): void {
  serve(api, LOGIN, async (request) => {
    const credentials = request.body as Static<typeof LoginBody>
    const named = request.headers['x-tenant-code']
    if (named !== undefined && typedCode(String(named)) !== typedCode(credentials.tenantCode))
      throw fail('TENANT_AMBIGUOUS')
    return login(deps.signIn, credentials, originOf(request))
  })
  serve(api, REFRESH, async (request) => {
    const { refreshToken } = request.body as Static<typeof RefreshBody>
    return refresh(deps.signIn, { refreshToken, tenantCode: namedTenant(request) }, originOf(request))
  })
  serve(api, LOGOUT, async (request, reply) => {
    const { refreshToken, everywhere } = request.body as Static<typeof LogoutBody>
    const shown = { refreshToken, tenantCode: namedTenant(request) }
    const seq = await logout(deps.signIn, shown, { everywhere, origin: originOf(request) })
    if (seq !== null) await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
  serve(api, CHANGE_PASSWORD, async (request, reply) => {
    await whenEffective(deps, reply, await changeOwnPassword(request, deps))
    return reply.code(204).send()
  })
  serve(api, READ_ME, async (request) => describeMe(deps, contextOf(request)))
}

async function changeOwnPassword(request: FastifyRequest, deps: HttpDeps) {
  const { principal, ownRoute, ownSession } = contextOf(request)
  if (principal.kind !== 'user')
    throw fail('PERMISSION_DENIED', { detail: 'Only users have a password here.' })
  const { currentPassword, newPassword } = request.body as Static<typeof PasswordBody>
  const actor = actorOf(request)
  const change = { currentPassword, newPassword, actor }
  try {
    return await changePassword(deps.signIn, { route: ownRoute, session: ownSession }, change)
  } catch (error) {
    const isWrong = error instanceof PublicError && error.code === 'INVALID_CREDENTIALS'
    if (isWrong) deps.auditTrail.note({ actor, action: 'auth.password-failed', tenantId: ownRoute.tenantId })
    throw error
  }
}

/** `X-Tenant-Code`. The pipeline refuses a request that has it twice. */
function namedTenant({ headers }: FastifyRequest): string | undefined {
  const named = headers['x-tenant-code']
  return named === undefined ? undefined : typedCode(String(named))
}

function originOf({ id, ip }: FastifyRequest): Origin {
  return { requestId: id, address: ip }
}

async function describeMe(deps: HttpDeps, context: TenantContext) {
  const { route, ownRoute, principal, isActing } = context
  return {
    ...(await describeCaller(deps, context)),
    tenant: { id: ownRoute.tenantId, code: ownRoute.code, name: ownRoute.name },
    roles: 'roles' in principal ? principal.roles : [],
    permissions: principal.permissions.list,
    actingFor: isActing ? { id: route.tenantId, code: route.code, name: route.name } : null,
  }
}

async function describeCaller({ accounts }: HttpDeps, { principal, ownSession }: TenantContext) {
  if (principal.kind === 'client-key') return { user: null, clientKey: { id: principal.keyId } }
  if (principal.kind === 'account') return { user: null, account: await accounts.describe(principal.subject) }
  if (principal.kind !== 'user') return { user: null, external: { subject: principal.subject } }
  // Null if the tenant's own key has signed the token for an id that is no user of the tenant.
  const user = await findUser(ownSession, principal.userId)
  return { user: user && publicUser(user) }
}
