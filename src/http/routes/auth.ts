import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Static, Type } from 'typebox'
import { text } from '../../data/fields.ts'
import { fail } from '../../errors.ts'
import { login, logout, refresh } from '../../identity/login.ts'
import { findUser, publicUser } from '../../identity/users.ts'
import { CLOSED, Password } from '../bodies.ts'
import type { HttpDeps } from '../deps.ts'

const OPEN = { access: { kind: 'open' } } as const
const ANYBODY = { access: { kind: 'tenant', permission: null } } as const

const LoginBody = Type.Object(
  {
    tenantCode: text(63),
    email: Type.Optional(text(254)),
    username: Type.Optional(text(254)),
    password: Password,
  },
  { ...CLOSED, title: 'Login' },
)

const RefreshBody = Type.Object({ refreshToken: text(512) }, { ...CLOSED, title: 'Refresh' })

/** Signing in, staying signed in, signing out. The first three are where credentials come from, so they take none. */
export function authRoutes(api: FastifyInstance, deps: HttpDeps): void {
  api.post('/auth/login', { config: OPEN, schema: { body: LoginBody } }, async ({ body, headers }) => {
    const credentials = body as Static<typeof LoginBody>
    const named = headers['x-tenant-code']
    if (named !== undefined && named !== credentials.tenantCode) throw fail('TENANT_AMBIGUOUS')
    return login(deps.signIn, credentials)
  })
  api.post('/auth/refresh', { config: OPEN, schema: { body: RefreshBody } }, async (request) =>
    refresh(deps.signIn, refreshTokenOf(request)),
  )
  api.post('/auth/logout', { config: OPEN, schema: { body: RefreshBody } }, async (request, reply) => {
    await logout(deps.signIn, refreshTokenOf(request))
    return reply.code(204).send()
  })
  api.get('/auth/me', { config: ANYBODY }, describeCaller)
}

function refreshTokenOf({ body }: FastifyRequest): string {
  return (body as Static<typeof RefreshBody>).refreshToken
}

async function describeCaller({ tenant }: FastifyRequest) {
  const { route, principal, session } = tenant
  const shown = { tenant: { id: route.tenantId, code: route.code, name: route.name } }
  const permissions = principal.permissions.list
  if (principal.kind === 'client-key') {
    return {
      user: null,
      clientKey: { id: principal.keyId },
      ...shown,
      roles: [],
      permissions,
      actingFor: null,
    }
  }
  const user = await findUser(session, principal.userId)
  return { user: user && publicUser(user), ...shown, roles: principal.roles, permissions, actingFor: null }
}
