import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { moveToOwnDatabase } from '../http/support.ts'
import { createStage, startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import type { ModelCaller, ModelTenant, ModelWorld } from './tenant-model.ts'

type Header = readonly [name: string, value: string]

/**
 * Tenants and everybody who may call for them:
 *
 *   top ── middle (own database) ── bottom        stranger
 *    └──── asleep (INACTIVE)
 */
export interface Cast {
  readonly url: string
  readonly tenants: readonly ModelTenant[]
  readonly world: ModelWorld
  /** The name of each caller, and the header that has its credential. */
  readonly shown: readonly (readonly [name: string, header: Header])[]
  /** The users who can sign in with a password, and their tenants. */
  readonly users: readonly {
    readonly tenantCode: string
    readonly email: string
    readonly password: string
  }[]
  /** The names of all places of each tenant. */
  placesOfAll(): Promise<string[][]>
  close(): Promise<void>
}

type Family = Record<'top' | 'middle' | 'bottom' | 'asleep' | 'stranger', TestTenant>
type Place = keyof Family

interface Caller extends Omit<ModelCaller, 'tenants'> {
  readonly name: string
  readonly header: Header
  readonly tenants: readonly string[]
}

export async function openCast(): Promise<Cast> {
  const issuer = await openIssuer()
  const stage = await createStage()
  const gateway = await startGateway(stage, {
    TRUSTED_ISSUERS: JSON.stringify(issuer.settings),
    RATE_LIMIT_PER_MINUTE: '1000000',
    LOGIN_RATE_LIMIT_PER_MINUTE: '1000000',
    LOG_LEVEL: 'error',
  })
  const family = await makeFamily(gateway)
  const callers = [
    ...(await users(gateway, family)),
    ...(await accounts(gateway, family)),
    ...(await clientKeys(gateway, family)),
    ...(await externals(issuer, family)),
    ...strangers(stage.operatorToken),
  ]
  const places = Object.values(family).map(({ token }) => token)
  // Last, because a user whose tenant is INACTIVE cannot sign in any more.
  await gateway.operator('PATCH', `/tenants/${family.asleep.id}`, { status: 'INACTIVE' })
  const tenants = modelOf(family)
  return {
    url: gateway.url,
    tenants,
    world: { tenants, callers: new Map(callers.flatMap(known)) },
    shown: callers.map(({ name, header }) => [name, header]),
    users: Object.values(family).map(({ code, admin }) => ({ tenantCode: code, ...admin })),
    placesOfAll: async () => {
      await gateway.operator('PATCH', `/tenants/${family.asleep.id}`, { status: 'ACTIVE' })
      return Promise.all(places.map((token) => placesOf(gateway, token)))
    },
    close: async () => {
      await gateway.close()
      issuer.server.close()
    },
  }
}

function modelOf(family: Family): ModelTenant[] {
  const parents: Partial<Record<Place, Place>> = { middle: 'top', bottom: 'middle', asleep: 'top' }
  return Object.entries(family).map(([place, { id, code }]) => {
    const parent = parents[place as Place]
    return { id, code, isActive: place !== 'asleep', parent: parent ? family[parent].code : null }
  })
}

function known({ header: [, value], kind, tenants, mayAct }: Caller): [string, ModelCaller][] {
  return tenants.includes('?') ? [] : [[value, { kind, tenants, mayAct }]]
}

async function makeFamily(gateway: TestGateway): Promise<Family> {
  const [top, middle, bottom, asleep, stranger] = await Promise.all([
    gateway.createTenant(),
    gateway.createTenant(),
    gateway.createTenant(),
    gateway.createTenant(),
    gateway.createTenant(),
  ])
  await moveToOwnDatabase(gateway, middle.id)
  const parents = [
    [middle, top],
    [bottom, middle],
    [asleep, top],
  ] as const
  for (const [child, { id: parentId }] of parents) {
    await expectStatus(gateway.operator('PATCH', `/tenants/${child.id}`, { parentId }), 200)
  }
  const family = { top, middle, bottom, asleep, stranger }
  for (const { token, code } of Object.values(family)) {
    await expectStatus(gateway.call('POST', '/api/v1/places', { token, body: { name: code } }), 201)
    const role = { name: 'clerk', permissions: ['properties:*'] }
    await expectStatus(gateway.call('POST', '/api/v1/roles', { token, body: role }), 201)
  }
  return family
}

async function placesOf(gateway: TestGateway, token: string): Promise<string[]> {
  const { body } = await gateway.call('GET', '/api/v1/places', { token })
  return body.data.map(({ name }: { name: string }) => name)
}

const bearer = (token: string): Header => ['Authorization', `Bearer ${token}`]

async function users(gateway: TestGateway, family: Family): Promise<Caller[]> {
  const admins = Object.entries(family).map(([place, { token, code }]) => ({
    ...{ name: `admin of ${place}`, header: bearer(token), kind: 'user' as const },
    ...{ tenants: [code], mayAct: true },
  }))
  const { code, id } = family.top
  const clerk = { email: `clerk@${code}.example`, password: 'correct horse battery staple' }
  await expectStatus(gateway.operator('POST', `/tenants/${id}/users`, { ...clerk, roles: ['clerk'] }), 201)
  const header = bearer(await gateway.login(code, clerk))
  return [...admins, { name: 'clerk of top', header, kind: 'user', tenants: [code], mayAct: false }]
}

async function accounts(gateway: TestGateway, family: Family): Promise<Caller[]> {
  const make = async (
    roles: Partial<Record<Place, string[]>>,
    everywhere: string[] = [],
  ): Promise<Caller> => {
    const entries = Object.entries(roles) as [Place, string[]][]
    const name = `account of ${entries.map(([place, held]) => `${place} (${held})`).join(' and ')} (${everywhere})`
    const account = { email: `p${++made}@firm.example`, password: 'correct horse battery staple' }
    const memberships = entries.map(([place, held]) => ({ tenantId: family[place].id, roles: held }))
    const body = { ...account, roles: everywhere, memberships }
    await expectStatus(gateway.operator('POST', '/accounts', body), 201)
    const signedIn = await gateway.call('POST', '/api/v1/auth/accounts/login', { body: account })
    const tenants = entries.map(([place]) => family[place].code)
    const mayAct = [...everywhere, ...entries.flatMap(([, held]) => held)].includes('admin')
    return { name, header: bearer(signedIn.body.accessToken), kind: 'account', tenants, mayAct }
  }
  return [
    await make({}),
    await make({}, ['admin']),
    await make({ top: ['admin'] }),
    await make({ middle: ['clerk'] }),
    await make({ middle: ['emperor'] }, ['admin']),
    await make({ asleep: ['admin'] }),
    await make({ top: ['admin'], stranger: ['admin'] }),
    await make({ bottom: [], asleep: [] }, ['clerk']),
  ]
}
let made = 0

async function clientKeys(gateway: TestGateway, family: Family): Promise<Caller[]> {
  const make = async (place: Place, permissions: string[]): Promise<Caller> => {
    const { id, code } = family[place]
    const path = `/tenants/${id}/client-keys`
    const { body } = await gateway.operator('POST', path, { name: 'program', permissions })
    const mayAct = permissions.includes('accounts:act')
    const name = `key of ${place} (${permissions})`
    return { name, header: ['X-Client-Key', body.key], kind: 'client-key', tenants: [code], mayAct }
  }
  return [
    await make('top', ['properties:*', 'accounts:act']),
    await make('middle', ['properties:*', 'accounts:act']),
    await make('bottom', ['properties:*']),
    await make('stranger', ['properties:*', 'accounts:act']),
    await make('asleep', ['properties:*']),
  ]
}

async function externals(issuer: Issuer, family: Family): Promise<Caller[]> {
  const { top, middle, stranger, asleep } = family
  const make = async (name: string, tenant: string, claims: { scope?: string; groups?: string[] }) => {
    const [code] = Object.values(family).flatMap(({ id, code: own }) =>
      [id, own].includes(tenant.toLowerCase()) ? [own] : [],
    )
    const mayAct = claims.groups?.includes('admin') ?? claims.scope?.includes('accounts:act') ?? false
    const header = bearer(await issuer.sign({ tenant_id: tenant, ...claims }))
    return {
      name: `external of ${name}`,
      header,
      kind: 'external' as const,
      tenants: [code ?? tenant],
      mayAct,
    }
  }
  return [
    await make('top, by id', top.id.toUpperCase(), {
      scope: 'properties:read properties:write accounts:act',
    }),
    await make('middle, by code', middle.code, { groups: ['admin'] }),
    await make('stranger, by id', stranger.id, { groups: ['clerk'] }),
    await make('asleep', asleep.code, { scope: '*' }),
    await make('unknown', 'no-such-tenant', { scope: '*' }),
  ]
}

/** Callers of no tenant, and unknown credentials. `?` marks those that the gateway does not know. */
function strangers(operatorToken: string): Caller[] {
  const unknown = { kind: 'user', tenants: ['?'], mayAct: false } as const
  return [
    { name: 'operator', header: bearer(operatorToken), kind: 'operator', tenants: [], mayAct: false },
    { ...unknown, name: 'nonsense', header: bearer('nonsense') },
    { ...unknown, name: 'unknown key', header: ['X-Client-Key', `fhk_${'x'.repeat(60)}`] },
    { ...unknown, name: 'empty key', header: ['X-Client-Key', ''] },
  ]
}

interface Issuer {
  readonly server: Server
  readonly settings: object
  sign(claims: object): Promise<string>
}

/** An identity provider of another organisation. */
async function openIssuer(): Promise<Issuer> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const keys = [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }]
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys }))
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  server.listen(0, '127.0.0.1', resolve)
  await promise
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const claimNames = { tenantClaim: 'tenant_id', permissionsClaim: 'scope', rolesClaim: 'groups' }
  const settings = { issuer: url, jwksUri: `${url}/jwks.json`, audience: 'freehold-test', ...claimNames }
  const sign = (claims: object) =>
    new SignJWT({ sub: 'someone', ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
      .setIssuer(url)
      .setAudience('freehold-test')
      .setIssuedAt()
      .setExpirationTime('1h')
      .sign(privateKey)
  return { server, settings, sign }
}

async function expectStatus(call: Promise<{ status: number; text: string }>, status: number): Promise<void> {
  const answer = await call
  if (answer.status !== status) throw new Error(`expected ${status}: ${answer.text}`)
}
