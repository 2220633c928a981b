import fc from 'fast-check'
import { generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { DataKey } from '../../src/crypto/keyring.ts'
import { fail } from '../../src/errors.ts'
import { PermissionSet } from '../../src/identity/access/permissions.ts'
import type { UserPrincipal } from '../../src/identity/callers/principal.ts'
import { type Credentials, login as loginFrom } from '../../src/identity/login/login.ts'
import { LoginSlots } from '../../src/identity/login/login-slots.ts'
import { logout as logoutFrom } from '../../src/identity/login/logout.ts'
import { PasswordHasher } from '../../src/identity/login/passwords.ts'
import { refresh as refreshFrom } from '../../src/identity/login/refresh.ts'
import { successorOf } from '../../src/identity/login/sessions.ts'
import type { SignInParts, SignInTenant } from '../../src/identity/login/sign-in.ts'
import { createAdmin } from '../../src/identity/people/admins.ts'
import type { Announcements } from '../../src/identity/people/announcements.ts'
import { People } from '../../src/identity/people/people.ts'
import type { NewUser } from '../../src/identity/people/user-form.ts'
import { listUsers } from '../../src/identity/people/users.ts'
import { AccessTokens } from '../../src/identity/tokens/access-tokens.ts'
import type { TokenKeys } from '../../src/identity/tokens/signing-key.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import type { TenantSession } from '../../src/sql/session.ts'
import { RoutedSession } from '../../src/sql/tenant-session.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { routeSource } from '../support/route-source.ts'
import { addressOf, createTenantDatabase, moveIn, routeOf } from '../support/tenant-database.ts'

const origin = { requestId: null, address: null }
const caller = {
  actor: { type: 'user', id: 'root', ...origin },
  permissions: new PermissionSet(['*']),
} as const
/** This test has no catalog to announce changes to. */
const nothingAnnounced = { lowestOf: () => 0 }
const announcements = {
  publish: async () => null,
  ...nothingAnnounced,
} as unknown as Announcements
const login = (with_: SignInParts, credentials: Credentials) => loginFrom(with_, credentials, origin)
const refresh = (with_: SignInParts, token: string) => refreshFrom(with_, { refreshToken: token }, origin)
const logout = (with_: SignInParts, token: string) =>
  logoutFrom(with_, { refreshToken: token }, { everywhere: false, origin })
const mail = (name: string) => `${name}@acme.example`
const password = 'correct horse battery'
const dataKey = DataKey.generate()
const policy = { minLength: 12, requireMixed: false }

class CountingHasher extends PasswordHasher {
  readonly checked: string[] = []
  protected override check(hash: string, input: Uint8Array): Promise<boolean> {
    this.checked.push(hash)
    return super.check(hash, input)
  }
}

let home: Awaited<ReturnType<typeof createTenantDatabase>>
let pools: PoolManager
let keys: TokenKeys
let hasher: CountingHasher
let acme: { tenant: SignInTenant; session: TenantSession }
let globex: typeof acme
let parts: SignInParts
let tokens: AccessTokens

beforeAll(async () => {
  home = await createTenantDatabase()
  pools = new PoolManager({
    maxPools: 10,
    maxConnections: 8,
    maxConnectionsPerServer: 8,
    acquireTimeoutMs: 5_000,
    statementTimeoutMs: 5_000,
    shared: addressOf(home.url),
    sharedPoolSize: 8,
    addressOf: () => {
      throw new Error('no dedicated database in this test')
    },
  })
  const pair = await generateKeyPair('EdDSA', { crv: 'Ed25519' })
  keys = {
    find: (kid) =>
      kid === 'k'
        ? { kid, owner: null, algorithm: 'EdDSA', key: pair.publicKey, verifyUntil: null }
        : undefined,
    sign: (payload) =>
      new SignJWT(payload)
        .setProtectedHeader({ alg: 'EdDSA', kid: 'k', typ: 'at+jwt' })
        .sign(pair.privateKey),
    prepare: () => Promise.resolve(),
  }
})
afterAll(async () => {
  await pools.close()
  await dropAll()
})

beforeEach(async () => {
  acme = await openTenant('acme-corp')
  globex = await openTenant('globex')
  hasher = new CountingHasher({ cost: { memoryCost: 32, timeCost: 1, parallelism: 1 } })
  tokens = new AccessTokens({ keys })
  const tenants = [acme, globex]
  parts = {
    tokens,
    hasher,
    slots: new LoginSlots(),
    announcements,
    auditTrail: { note: () => undefined },
    succeed: (token) => successorOf(dataKey, token),
    openTenant: async (by) => {
      const found = tenants.find(({ tenant }) =>
        'id' in by ? tenant.tenantId === by.id : tenant.code === by.code,
      )
      return found ? { tenant: found.tenant, session: () => found.session } : null
    },
  }
})

async function openTenant(code: string) {
  const tenantId = await moveIn(home.url)
  const tenant: SignInTenant = {
    tenantId,
    code,
    status: 'ACTIVE',
    authConfig: {
      passwordPolicy: policy,
      accessTokenSeconds: 900,
      refreshTokenSeconds: 3600,
      refreshReuseSeconds: 10,
      lockout: { attempts: 3, windowSeconds: 900 },
    },
  }
  const route = routeOf(tenantId)
  const session = new RoutedSession(route, {
    pools,
    routes: routeSource(route),
    fenceTimeoutMs: 300,
    onStuck: () => undefined,
  })
  return { tenant, session }
}

/** The expected state of the refresh tokens of one login. */
class FamilyModel {
  /** The tokens in the order in which they were issued. All but the last were replaced; the number says how many seconds ago. */
  readonly #texts: string[]
  readonly #replaced: number[] = []
  readonly #window: number
  #ended = false

  constructor(first: string, window: number) {
    this.#texts = [first]
    this.#window = window
  }

  tokenAt(n: number): string {
    return this.#texts[n % this.#texts.length] ?? ''
  }

  wait(seconds: number): void {
    for (const i of this.#replaced.keys()) this.#replaced[i] = (this.#replaced[i] ?? 0) + seconds
  }

  end(): void {
    this.#ended = true
  }

  /** `said`: the issued refresh token, or the code of the refusal. */
  expectUse(text: string, said: string): void {
    const at = this.#texts.indexOf(text)
    const last = this.#texts.length - 1
    if (at === last && !this.#ended) {
      expect(this.#texts).not.toContain(said)
      expect(said).toMatch(/^fhr_/)
      this.#texts.push(said)
      this.#replaced.push(0)
    } else if (at === last) expect(said).toBe('INVALID_CREDENTIALS')
    else if (at === last - 1 && !this.#ended && (this.#replaced[at] ?? 0) < this.#window) {
      expect(said).toBe(this.#texts[last])
    } else {
      expect(said).toBe('REFRESH_TOKEN_REUSED')
      this.#ended = true
    }
  }
}

const addUser = (input: Partial<NewUser> = {}, to = acme) =>
  new People({ hasher, announcements }).create(
    { route: to.tenant, session: to.session },
    { email: mail('ana'), password, ...input },
    caller,
  )
const logIn = (input: Partial<Credentials> = {}) =>
  login(parts, {
    tenantCode: 'acme-corp',
    password,
    ...('username' in input ? {} : { email: mail('ana') }),
    ...input,
  })
const sql = (text: string, params: unknown[] = []) => query(superuserUrl(home.database), text, params)

describe('users', () => {
  test('are created with roles, shown without the hash, and belong to one tenant', async () => {
    await createAdmin(acme.session, { hasher, policy }, { email: mail('root'), password })
    const ana = await addUser({ username: 'ana', name: 'Ana', roles: ['admin'] })
    expect(ana).toMatchObject({
      email: mail('ana'),
      username: 'ana',
      name: 'Ana',
      status: 'ACTIVE',
      roles: ['admin'],
    })
    expect(JSON.stringify(ana)).not.toMatch(/hash|argon|tenant/i)
    const { data } = await listUsers(acme.session, { limit: 10 })
    expect(data).toHaveLength(2)
    expect(data[1]).toEqual(ana)
    expect((await listUsers(globex.session, { limit: 10 })).data).toEqual([])
  })

  test('are listed in pages', async () => {
    for (const name of ['a', 'b', 'c']) await addUser({ email: mail(name) })
    const first = await listUsers(acme.session, { limit: 2 })
    const second = await listUsers(acme.session, { limit: 2, cursor: first.nextCursor ?? '' })
    expect([...first.data, ...second.data].map((user) => user.email)).toEqual(['a', 'b', 'c'].map(mail))
    expect(second.nextCursor).toBeNull()
  })

  test('have an email address and a user name that are unique in the tenant, in any letter case', async () => {
    await addUser({ username: 'ana' })
    await expect(addUser({ email: mail('ANA') })).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(addUser({ email: mail('b'), username: 'Ana' })).rejects.toMatchObject({ code: 'CONFLICT' })
    await expect(addUser({ username: 'ana' }, globex)).resolves.toBeDefined()
  })

  test('cannot be created with a missing role, or one of another tenant', async () => {
    await createAdmin(globex.session, { hasher, policy }, { email: mail('root'), password })
    await expect(addUser({ roles: ['admin'] })).rejects.toMatchObject({
      code: 'REFERENCE_NOT_FOUND',
      extra: { errors: [{ pointer: '/roles/0' }] },
    })
    expect((await listUsers(acme.session, { limit: 10 })).data).toEqual([])
  })

  test('cannot be created from bad input, and all faults are reported at once', async () => {
    const bad = addUser({ email: 'no address', username: '-', name: ' ', password: 'short', roles: ['a\0'] })
    await expect(bad).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      extra: {
        errors: ['/email', '/username', '/name', '/roles/0', '/password'].map((pointer) => ({ pointer })),
      },
    })
  })

  test('can be deleted again if the catalog could not be told', async () => {
    const { id } = await addUser()
    const { refreshToken } = await logIn()
    const away = vi.fn(async () => Promise.reject(fail('CATALOG_UNAVAILABLE')))
    const people = new People({
      hasher,
      announcements: { publish: away, ...nothingAnnounced } as unknown as Announcements,
    })
    const home = { route: acme.tenant, session: acme.session }
    await expect(people.remove(home, id, caller)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    expect(await people.find(home, id)).toMatchObject({ status: 'INACTIVE' })
    await expect(refresh(parts, refreshToken)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    const publish = vi.fn(async () => undefined)
    const told = new People({
      hasher,
      announcements: { publish, ...nothingAnnounced } as unknown as Announcements,
    })
    await told.remove(home, id, caller)
    expect(publish).toHaveBeenCalledWith(
      expect.objectContaining({
        action: 'user.delete',
        voided: [expect.objectContaining({ id, generation: 2 })],
      }),
    )
    await expect(told.find(home, id)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('begin with an administrator, who is created once however often it is requested', async () => {
    const rules = { hasher, policy }
    const both = await Promise.all(
      [1, 2].map(() => createAdmin(acme.session, rules, { email: mail('Root'), password })),
    )
    const again = await createAdmin(acme.session, rules, {
      email: mail('root'),
      password: 'another password',
    })
    expect(new Set([...both, again].map((admin) => admin.id)).size).toBe(1)
    expect(again.roles).toEqual(['admin'])
    await expect(logIn({ email: mail('root') })).resolves.toBeDefined()
    await expect(logIn({ email: mail('root'), password: 'another password' })).rejects.toThrow()
  })
})

describe('login', () => {
  test('gives tokens that name user, tenant and permissions', async () => {
    await createAdmin(acme.session, { hasher, policy }, { email: mail('ana'), password })
    const pair = await logIn()
    expect(pair).toMatchObject({ tokenType: 'Bearer', expiresIn: 900 })
    const principal = (await tokens.verify(pair.accessToken)) as UserPrincipal
    expect(principal).toMatchObject({
      tenantId: acme.tenant.tenantId,
      tenantCode: 'acme-corp',
      roles: ['admin'],
    })
    expect(principal.permissions.list).toEqual(['*'])
  })

  test('accepts the user name instead of the address, both in any letter case', async () => {
    await addUser({ username: 'Ana.S' })
    await expect(logIn({ username: 'ana.s' })).resolves.toBeDefined()
    await expect(logIn({ email: mail('ANA') })).resolves.toBeDefined()
    await expect(logIn({ email: 'ana.s' })).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
  })

  test('accepts the address as a user name too, unless another user has it', async () => {
    await addUser()
    const { accessToken } = await logIn({ username: mail('ANA') })
    const ana = await tokens.verify(accessToken)
    const ben = await addUser({
      email: mail('ben'),
      username: mail('ana'),
      password: 'another long password',
    })
    await expect(logIn({ username: mail('ana') })).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    const other = await logIn({ username: mail('ana'), password: 'another long password' })
    expect(await tokens.verify(other.accessToken)).toMatchObject({ userId: ben.id })
    expect(await tokens.verify((await logIn()).accessToken)).toMatchObject({
      userId: (ana as UserPrincipal).userId,
    })
  })

  test('gives one refusal, at one cost, for an unknown user, an inactive one, another tenant’s and a wrong password', async () => {
    await addUser()
    await addUser({ email: mail('gone') })
    await addUser({ email: mail('ben') }, globex)
    await sql(`update users set status = 'INACTIVE' where email = $1`, [mail('gone')])
    const attempts = [
      { password: 'wrong horse battery' },
      { email: mail('unknown') },
      { email: mail('gone') },
      { email: mail('ben') },
      { email: '%' },
      { email: "' or true --" },
      { email: 'a\0b' },
    ]
    const errors = await Promise.all(attempts.map((attempt) => logIn(attempt).catch((error) => error)))
    for (const error of errors) expect(error).toMatchObject({ code: 'INVALID_CREDENTIALS', extra: {} })
    expect(hasher.checked).toHaveLength(attempts.length)
    expect(new Set(hasher.checked.map((hash) => hash.split('$')[3]))).toHaveProperty('size', 1)
    expect(new Set(hasher.checked).size).toBe(2)
  })

  test('finds no unknown or inactive tenant, and computes no hash for it', async () => {
    await addUser()
    await expect(logIn({ tenantCode: 'unknown' })).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    await expect(logIn({ tenantCode: "a' or 1=1" })).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    acme.tenant = { ...acme.tenant, status: 'INACTIVE' }
    await expect(logIn()).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
    expect(hasher.checked).toEqual([])
  })

  test.each([
    [{ password: 'x'.repeat(1025) }, '/password'],
    [{ username: 'ana', email: 'both' }, '/email'],
    [{ email: undefined }, '/email'],
    [{ email: 'x'.repeat(300) }, '/email'],
  ])('refuses bad input (%#)', async (input, pointer) => {
    await expect(logIn(input)).rejects.toMatchObject({
      code: 'VALIDATION_FAILED',
      extra: { errors: [{ pointer }] },
    })
  })

  test('locks after repeated failures, also for the right password and for users that do not exist', async () => {
    await addUser()
    for (const email of [mail('ana'), mail('unknown')]) {
      for (let i = 0; i < 3; i += 1) {
        await expect(logIn({ email, password: 'wrong horse battery' })).rejects.toMatchObject({
          code: 'INVALID_CREDENTIALS',
        })
      }
      await expect(logIn({ email: email.toUpperCase() })).rejects.toMatchObject({ code: 'ACCOUNT_LOCKED' })
    }
  })

  test('does not count a right password, or an attempt without an answer', async () => {
    await addUser()
    for (let i = 0; i < 5; i += 1) await logIn()
    const full = new PasswordHasher({ concurrency: 0, maxWaiting: 0 })
    for (let i = 0; i < 5; i += 1) {
      await expect(
        login({ ...parts, hasher: full }, { tenantCode: 'acme-corp', email: mail('ana'), password }),
      ).rejects.toMatchObject({
        code: 'RATE_LIMITED',
      })
    }
    await expect(logIn()).resolves.toBeDefined()
  })
})

describe('refresh', () => {
  test('gives a new pair with the current permissions, and the next refresh token works', async () => {
    await createAdmin(acme.session, { hasher, policy }, { email: mail('ana'), password })
    const first = await logIn()
    await sql(`delete from user_roles where tenant_id = $1`, [acme.tenant.tenantId])
    const second = await refresh(parts, first.refreshToken)
    expect(second.refreshToken).not.toBe(first.refreshToken)
    const principal = (await tokens.verify(second.accessToken)) as UserPrincipal
    expect(principal.permissions.list).toEqual([])
    await expect(refresh(parts, second.refreshToken)).resolves.toBeDefined()
  })

  test('that fails to sign the new token leaves the old one valid', async () => {
    await addUser()
    // Otherwise a used token could be repeated.
    acme.tenant.authConfig.refreshReuseSeconds = 0
    const { refreshToken } = await logIn()
    const issue = vi.fn(() => Promise.reject(fail('CATALOG_UNAVAILABLE')))
    const lame = { ...parts, tokens: { issue, prepare: () => Promise.resolve() } }
    await expect(refresh(lame, refreshToken)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
    expect(issue).toHaveBeenCalledOnce()
    await expect(refresh(parts, refreshToken)).resolves.toBeDefined()
  })

  test('with a used token ends its whole family, and no other', async () => {
    await addUser()
    const other = await logIn()
    const first = await logIn()
    const second = await refresh(parts, first.refreshToken)
    const third = await refresh(parts, second.refreshToken)
    await expect(refresh(parts, first.refreshToken)).rejects.toMatchObject({ code: 'REFRESH_TOKEN_REUSED' })
    await expect(refresh(parts, third.refreshToken)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    await expect(refresh(parts, first.refreshToken)).rejects.toMatchObject({ code: 'REFRESH_TOKEN_REUSED' })
    await expect(refresh(parts, other.refreshToken)).resolves.toBeDefined()
  })

  test('with one token many times at once gives the same successor to all', async () => {
    await addUser()
    for (let round = 0; round < 5; round += 1) {
      const { refreshToken } = await logIn()
      const pairs = await Promise.all(Array.from({ length: 8 }, () => refresh(parts, refreshToken)))
      expect(new Set(pairs.map((pair) => pair.refreshToken)).size).toBe(1)
      expect(new Set(pairs.map((pair) => pair.accessToken)).size).toBe(8)
      await expect(refresh(parts, pairs[0]?.refreshToken ?? '')).resolves.toBeDefined()
    }
  })

  test('with one token many times at once, without permitted reuse: one succeeds at most, and its family ends', async () => {
    await addUser()
    acme.tenant.authConfig.refreshReuseSeconds = 0
    for (let round = 0; round < 5; round += 1) {
      const { refreshToken } = await logIn()
      const results = await Promise.allSettled(Array.from({ length: 8 }, () => refresh(parts, refreshToken)))
      const winners = results.filter((result) => result.status === 'fulfilled')
      expect(winners.length).toBeLessThanOrEqual(1)
      for (const { value } of winners) await expect(refresh(parts, value.refreshToken)).rejects.toBeDefined()
    }
    const [row] = await sql(
      'select count(*)::int as n from sessions where tenant_id = $1 and revoked_at is null',
      [acme.tenant.tenantId],
    )
    expect(row).toEqual({ n: 0 })
  })

  test('agrees with a model of token families, for any order and time of uses', async () => {
    await addUser()
    // Far enough from both ends of the window that a busy machine makes no difference.
    const WINDOW = 60
    acme.tenant.authConfig.refreshReuseSeconds = WINDOW
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ use: fc.nat({ max: 6 }) }) },
      { weight: 2, arbitrary: fc.record({ wait: fc.constantFrom(25, 50) }) },
      { weight: 1, arbitrary: fc.constant({ logOut: true } as const) },
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 14 }), async (steps) => {
        const first = await logIn()
        const model = new FamilyModel(first.refreshToken, WINDOW)
        for (const each of steps) {
          if ('wait' in each) {
            model.wait(each.wait)
            await sql(
              'update sessions set replaced_at = replaced_at - make_interval(secs => $2) where tenant_id = $1',
              [acme.tenant.tenantId, each.wait],
            )
          } else if ('logOut' in each) {
            model.end()
            await logout(parts, first.refreshToken)
          } else {
            const text = model.tokenAt(each.use)
            const said = await refresh(parts, text).then(
              (pair) => pair.refreshToken,
              (error: { code: string }) => error.code,
            )
            model.expectUse(text, said)
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  test('ends after the idle time, and after the lifetime of the family', async () => {
    await addUser()
    for (const column of ['expires_at', 'absolute_expires_at']) {
      const { refreshToken } = await logIn()
      await sql(`update sessions set ${column} = now() where tenant_id = $1`, [acme.tenant.tenantId])
      await expect(refresh(parts, refreshToken)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    }
  })

  test('does not extend the lifetime of the family', async () => {
    await addUser()
    const { refreshToken } = await logIn()
    await sql(`update sessions set absolute_expires_at = now() + interval '10 s'`)
    await refresh(parts, refreshToken)
    const rows = await sql(
      'select expires_at <= absolute_expires_at as ok from sessions where tenant_id = $1 and replaced_at is null',
      [acme.tenant.tenantId],
    )
    expect(rows).toEqual([{ ok: true }])
  })

  test('ends with the user, and with the tenant', async () => {
    await addUser()
    const [a, b] = [await logIn(), await logIn()]
    await sql(`update users set status = 'INACTIVE' where tenant_id = $1`, [acme.tenant.tenantId])
    await expect(refresh(parts, a.refreshToken)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    await sql(`update users set status = 'ACTIVE' where tenant_id = $1`, [acme.tenant.tenantId])
    acme.tenant = { ...acme.tenant, status: 'INACTIVE' }
    await expect(refresh(parts, b.refreshToken)).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  })

  test('refuses a text that is no token, and a token whose secret or tenant was changed', async () => {
    await addUser()
    const { refreshToken } = await logIn()
    const foreign = Buffer.from(globex.tenant.tenantId.replaceAll('-', ''), 'hex')
    const route = Buffer.from(refreshToken.slice(4, 47), 'base64url')
    const rerouted = Buffer.concat([foreign, route.subarray(16)]).toString('base64url')
    const secret = Buffer.alloc(32, 7).toString('base64url')
    const wrong = [
      '',
      'x',
      `fhr_${rerouted}${refreshToken.slice(47)}`,
      `${refreshToken.slice(0, 48)}${secret}`,
    ]
    for (const each of wrong) {
      await expect(refresh(parts, each)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
    }
    await expect(refresh(parts, refreshToken)).resolves.toBeDefined()
  })

  test('stores tokens as hashes', async () => {
    await addUser()
    const { refreshToken } = await logIn()
    const rows = await sql('select s::text as row from sessions s')
    expect(JSON.stringify(rows)).not.toContain(refreshToken.slice(48))
  })
})

describe('logout', () => {
  test('ends the family with the current token or an older one', async () => {
    await addUser()
    const first = await logIn()
    const second = await refresh(parts, first.refreshToken)
    await logout(parts, first.refreshToken)
    await expect(refresh(parts, second.refreshToken)).rejects.toMatchObject({ code: 'INVALID_CREDENTIALS' })
  })

  test('is no error for a malformed or expired token', async () => {
    await addUser()
    const { refreshToken } = await logIn()
    await logout(parts, refreshToken)
    await logout(parts, refreshToken)
    await logout(parts, 'fhr_nonsense')
    acme.tenant = { ...acme.tenant, status: 'INACTIVE' }
    await logout(parts, refreshToken)
  })
})
