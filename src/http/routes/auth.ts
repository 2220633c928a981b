import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { fail, PublicError } from '../../errors.ts'
import { login } from '../../identity/login/login.ts'
import { logout } from '../../identity/login/logout.ts'
import { changePassword } from '../../identity/login/own-password.ts'
import { refresh } from '../../identity/login/refresh.ts'
import type { Origin } from '../../identity/login/sign-in.ts'
import { typedCode } from '../../identity/people/names.ts'
import { findUser, publicUser } from '../../identity/people/users.ts'
import { text } from '../../lib/fields.ts'
import type { HttpDeps } from '../deps.ts'
import { whenEffective } from '../effective.ts'
import { actorOf, contextOf, type TenantContext } from '../pipeline.ts'
import { CLOSED, Password } from '../transport/bodies.ts'

const OPEN = { access: { kind: 'open' } } as const
/** Where a credential is tried, the caller's address is counted. */
const TRIED = { access: { kind: 'open', counted: true } } as const
const ANYBODY = { access: { kind: 'tenant', permission: null } } as const

const LoginBody = Type.Object(
  {
    tenantCode: text(80),
    email: Type.Optional(text(254)),
    username: Type.Optional(text(254)),
    password: Password,
  },
  {
    ...CLOSED,
    title: 'Login',
    // With one of the two names: who gives both is refused.
    examples: [
      { tenantCode: 'acme-corp', email: 'ada@acme-corp.example', password: 'correct horse battery staple' },
    ],
  },
)

const RefreshBody = Type.Object({ refreshToken: text(512) }, { ...CLOSED, title: 'Refresh' })

const LogoutBody = Type.Object(
  { refreshToken: text(512), everywhere: Type.Boolean({ default: false }) },
  { ...CLOSED, title: 'Logout' },
)

const PasswordBody = Type.Object(
  { currentPassword: Password, newPassword: Password },
  { ...CLOSED, title: 'PasswordChange' },
)

/** Signing in, staying signed in, signing out. The first three are where credentials come from, so they take none. */
export function authRoutes(api: FastifyInstance, deps: HttpDeps): void {
  api.post('/auth/login', { config: TRIED, schema: { body: LoginBody } }, async (request) => {
    const credentials = request.body as Static<typeof LoginBody>
    const named = request.headers['x-tenant-code']
    if (named !== undefined && typedCode(String(named)) !== typedCode(credentials.tenantCode))
      throw fail('TENANT_AMBIGUOUS')
    return login(deps.signIn, credentials, originOf(request))
  })
  api.post('/auth/refresh', { config: TRIED, schema: { body: RefreshBody } }, async (request) => {
    const { refreshToken } = request.body as Static<typeof RefreshBody>
    return refresh(deps.signIn, { refreshToken, tenantCode: namedTenant(request) }, originOf(request))
  })
  api.post('/auth/logout', { config: OPEN, schema: { body: LogoutBody } }, async (request, reply) => {
    const { refreshToken, everywhere } = request.body as Static<typeof LogoutBody>
    const shown = { refreshToken, tenantCode: namedTenant(request) }
    const seq = await logout(deps.signIn, shown, { everywhere, origin: originOf(request) })
    if (seq !== null) await whenEffective(deps, reply, seq)
    return reply.code(204).send()
  })
  api.post('/auth/password', { config: ANYBODY, schema: { body: PasswordBody } }, async (request, reply) => {
    const { principal, home, homeSession } = contextOf(request)
    if (principal.kind !== 'user')
      throw fail('PERMISSION_DENIED', { detail: 'Only users have a password here.' })
    const change = request.body as Static<typeof PasswordBody>
    const actor = actorOf(request)
    try {
      const place = { route: home, session: homeSession }
      await whenEffective(deps, reply, await changePassword(deps.signIn, place, change, actor))
    } catch (error) {
      const isWrong = error instanceof PublicError && error.code === 'INVALID_CREDENTIALS'
      if (isWrong) deps.auditTrail.note({ actor, action: 'auth.password-failed', tenantId: home.tenantId })
      throw error
    }
    return reply.code(204).send()
  })
  api.get('/auth/me', { config: ANYBODY }, async (request) => {
    const context = contextOf(request)
    const { route, home, principal, isActing } = context
    return {
      ...(await describeCaller(deps, context)),
      tenant: { id: home.tenantId, code: home.code, name: home.name },
      roles: 'roles' in principal ? principal.roles : [],
      permissions: principal.permissions.list,
      actingFor: isActing ? { id: route.tenantId, code: route.code, name: route.name } : null,
    }
  })
}

/** `X-Tenant-Code`, which is refused where it stands twice. */
function namedTenant({ headers }: FastifyRequest): string | undefined {
  const named = headers['x-tenant-code']
  return named === undefined ? undefined : typedCode(String(named))
}

function originOf({ id, ip }: FastifyRequest): Origin {
  return { requestId: id, address: ip }
}

async function describeCaller({ accounts }: HttpDeps, { principal, homeSession }: TenantContext) {
  if (principal.kind === 'client-key') return { user: null, clientKey: { id: principal.keyId } }
  if (principal.kind === 'account') return { user: null, account: await accounts.describe(principal.subject) }
  if (principal.kind !== 'user') return { user: null, external: { subject: principal.subject } }
  // Null for somebody whom the tenant's own key vouches for and who is no user here.
  const user = await findUser(homeSession, principal.userId)
  return { user: user && publicUser(user) }
}
