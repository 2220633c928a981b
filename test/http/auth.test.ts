import { decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import type { TestTenant } from '../support/gateway.ts'
import { API, expectProblem, type Homes, openHomes, telling } from './support.ts'

let homes: Homes
beforeAll(async () => {
  homes = await openHomes()
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  homes.gateway.call('POST', `${API}/auth/${path}`, { body, headers })
const me = (token: string) => homes.gateway.call('GET', `${API}/auth/me`, { token })
const signIn = (tenant: TestTenant, more: object = {}) =>
  post('login', { tenantCode: tenant.code, ...tenant.admin, ...more })
const setStatus = (tenant: TestTenant, status: string) =>
  homes.gateway.operator('PATCH', `/tenants/${tenant.id}`, { status })

const TENANT_GONE = { status: 404, code: 'TENANT_NOT_FOUND' }
const WRONG = { status: 401, code: 'INVALID_CREDENTIALS' }

describe.each(['shared', 'own'] as const)('a tenant in a database that is %s', (home) => {
  describe('POST /auth/login', () => {
    test('200: gives tokens, in any spelling of the address', async () => {
      const { email } = homes[home].admin
      for (const spelling of [email, email.toUpperCase()]) {
        const { status, body } = await signIn(homes[home], { email: spelling })
        expect(status).toBe(200)
        expect(body).toEqual({
          accessToken: expect.stringMatching(/^ey/),
          refreshToken: expect.stringMatching(/^fhr_/),
          tokenType: 'Bearer',
          expiresIn: 900,
        })
      }
    })

    test('200: also by user name, with the roles and permissions that the user has', async () => {
      const user = { email: `ann@${home}.example`, username: 'Ann', password: 'another long password' }
      const made = await homes.gateway.operator('POST', `/tenants/${homes[home].id}/users`, user)
      expect(made.status, made.text).toBe(201)
      const { body } = await post('login', {
        tenantCode: homes[home].code,
        username: 'ann',
        password: user.password,
      })
      const { body: shown } = await me(body.accessToken)
      expect(shown).toEqual({
        user: {
          ...{
            id: made.body.id,
            email: user.email,
            username: 'Ann',
            ...{ name: null, taxNumber: null },
            status: 'ACTIVE',
            roles: [],
          },
          ...{ createdAt: made.body.createdAt, updatedAt: made.body.updatedAt },
        },
        tenant: { id: homes[home].id, code: homes[home].code, name: `Tenant ${homes[home].code}` },
        roles: [],
        permissions: [],
        actingFor: null,
      })
      const denied = await homes.gateway.call('GET', `${API}/places`, { token: body.accessToken })
      expectProblem(denied, { status: 403, code: 'PERMISSION_DENIED', required: 'properties:read' })
    })

    test('the token says what the contract says, and nothing of where the tenant lives', async () => {
      const { body } = await signIn(homes[home])
      expect(decodeProtectedHeader(body.accessToken)).toEqual({
        alg: 'EdDSA',
        kid: expect.any(String),
        typ: 'at+jwt',
      })
      const claims = decodeJwt(body.accessToken)
      expect(claims).toEqual({
        ...{ iss: 'freehold', aud: 'freehold', sub: expect.any(String), jti: expect.any(String), gen: 0 },
        ...{ tenantId: homes[home].id, tenantCode: homes[home].code, permissions: ['*'], roles: ['admin'] },
        ...{ iat: expect.any(Number), exp: expect.any(Number) },
      })
      expect((claims.exp ?? 0) - (claims.iat ?? 0)).toBe(900)
    })

    test('401: a wrong password and an unknown user get one answer', async () => {
      const answers = [
        await signIn(homes[home], { password: 'not the password' }),
        await signIn(homes[home], { email: 'nobody@nowhere.example' }),
        await post('login', { tenantCode: homes[home].code, username: 'nobody', password: 'x' }),
        // A user of a neighbour is unknown here.
        await signIn(homes[home], homes.stranger.admin),
      ]
      for (const answer of answers) {
        expectProblem(answer, WRONG)
        expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
      }
    })

    test('403: too many wrong passwords lock the account for a while, also against the right one', async () => {
      const code = `${homes[home].code}-lock`
      const tenant = await homes.gateway.createTenant(code)
      await homes.gateway.operator('PATCH', `/tenants/${tenant.id}`, {
        authConfig: { lockout: { attempts: 3 } },
      })
      for (const email of [tenant.admin.email, 'nobody@nowhere.example']) {
        for (let n = 0; n < 3; n++) expectProblem(await signIn(tenant, { email, password: 'wrong' }), WRONG)
        const answer = await signIn(tenant, { email })
        expectProblem(answer, { status: 403, code: 'ACCOUNT_LOCKED' })
        expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
      }
    })
  })

  describe('POST /auth/refresh', () => {
    test('200: gives the next pair, and the old token is good no more', async () => {
      const { body: first } = await signIn(homes[home])
      const { status, body: second } = await post('refresh', { refreshToken: first.refreshToken })
      expect(status).toBe(200)
      expect(Object.keys(second).toSorted()).toEqual(Object.keys(first).toSorted())
      expect(second.refreshToken).not.toBe(first.refreshToken)
      expect((await me(second.accessToken)).status).toBe(200)
      expect((await post('refresh', { refreshToken: second.refreshToken })).status).toBe(200)
    })

    test('401: using one again after its successor ends the whole family, and no other', async () => {
      const [{ body: first }, { body: other }] = [await signIn(homes[home]), await signIn(homes[home])]
      const { body: second } = await post('refresh', { refreshToken: first.refreshToken })
      const { body: third } = await post('refresh', { refreshToken: second.refreshToken })
      const reused = await post('refresh', { refreshToken: first.refreshToken })
      expectProblem(reused, { status: 401, code: 'REFRESH_TOKEN_REUSED' })
      expectProblem(await post('refresh', { refreshToken: third.refreshToken }), WRONG)
      expect((await post('refresh', { refreshToken: other.refreshToken })).status).toBe(200)
    })

    test('of many uses at once all get the one successor', async () => {
      const { body } = await signIn(homes[home])
      const uses = Array.from({ length: 6 }, () => post('refresh', { refreshToken: body.refreshToken }))
      const answers = await Promise.all(uses)
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200])
      expect(new Set(answers.map((answer) => answer.body.refreshToken)).size).toBe(1)
    })

    test('401: a token with another secret, of another tenant, or of no form', async () => {
      const { body } = await signIn(homes[home])
      const [, route, secret] = /^fhr_([^_]{43}|.{43})_(.{43})$/.exec(body.refreshToken) ?? []
      const { body: theirs } = await signIn(homes.stranger)
      const [, foreignRoute] = /^fhr_(.{43})_/.exec(theirs.refreshToken) ?? []
      const forged = [
        `fhr_${route}_${'A'.repeat(43)}`,
        `fhr_${foreignRoute}_${secret}`,
        'fhr_x_y',
        body.accessToken.slice(0, 500),
      ]
      for (const refreshToken of forged) expectProblem(await post('refresh', { refreshToken }), WRONG)
      expect((await post('refresh', { refreshToken: body.refreshToken })).status).toBe(200)
    })
  })

  describe('POST /auth/logout', () => {
    test('204: ends the family; once more, or with nonsense, is no error', async () => {
      const { body } = await signIn(homes[home])
      for (const refreshToken of [body.refreshToken, body.refreshToken, 'nonsense']) {
        const answer = await post('logout', { refreshToken })
        expect([answer.status, answer.text]).toEqual([204, ''])
      }
      expectProblem(await post('refresh', { refreshToken: body.refreshToken }), WRONG)
    })
  })

  test('an INACTIVE tenant is no tenant: for passwords, refresh tokens and access tokens', async () => {
    const { body } = await signIn(homes[home])
    expect((await me(body.accessToken)).status).toBe(200)
    const patched = await setStatus(homes[home], 'INACTIVE')
    expect(patched.body).toMatchObject({ status: 'INACTIVE', effective: { replicas: 1, confirmed: 1 } })
    expectProblem(await signIn(homes[home]), TENANT_GONE)
    expectProblem(await post('refresh', { refreshToken: body.refreshToken }), TENANT_GONE)
    expectProblem(await me(body.accessToken), TENANT_GONE)
    expect((await post('logout', { refreshToken: body.refreshToken })).status).toBe(204)
    await setStatus(homes[home], 'ACTIVE')
    expect((await me(body.accessToken)).status).toBe(200)
    expect((await post('refresh', { refreshToken: body.refreshToken })).status).toBe(200)
  })
})

describe('POST /auth/login', () => {
  const password = 'correct horse battery staple'

  test.each(['nobody-here', 'ACME', 'a', '-', "' or 1=1", 'ä'])(
    '404: there is no tenant %j',
    async (tenantCode) => {
      expectProblem(await post('login', { tenantCode, email: 'a@b.example', password }), TENANT_GONE)
    },
  )

  test.each([
    [{}, ['/tenantCode', '/password']],
    [{ tenantCode: 'acme', password }, ['/email']],
    [{ tenantCode: 'acme', email: 'a@b.c', username: 'a', password }, ['/email']],
    [{ tenantCode: 7, email: 'a@b.c', password }, ['/tenantCode']],
    [{ tenantCode: 'acme', email: { ne: '' }, password }, ['/email']],
    [{ tenantCode: 'acme', email: 'a@b.c', password: '' }, ['/password']],
    [{ tenantCode: 'acme', email: 'a@b.c', password: 'x'.repeat(1025) }, ['/password']],
    [{ tenantCode: 'acme', email: 'a@b.c', password, tenantId: 'x' }, ['/tenantId']],
  ])('400: %j', async (body, pointers) => {
    expectProblem(await post('login', body), { status: 400, code: 'VALIDATION_FAILED', pointers })
  })

  test('400: a header that names another tenant than the body', async () => {
    const body = { tenantCode: homes.shared.code, ...homes.shared.admin }
    const other = await post('login', body, { 'x-tenant-code': homes.stranger.code })
    expectProblem(other, { status: 400, code: 'TENANT_AMBIGUOUS' })
    expect((await post('login', body, { 'x-tenant-code': homes.shared.code })).status).toBe(200)
  })

  test('a password is in no log line', () => {
    for (const { admin } of [homes.shared, homes.own])
      expect(homes.gateway.log()).not.toContain(admin.password)
  })
})

describe.each(['refresh', 'logout'])('POST /auth/%s', (path) => {
  test.each([{}, { refreshToken: 7 }, { refreshToken: '' }, { refreshToken: 'x', tenantCode: 'x' }])(
    '400: %j',
    async (body) => {
      expectProblem(await post(path, body), { status: 400, code: 'VALIDATION_FAILED' })
    },
  )
})

describe('GET /auth/me', () => {
  test('401 without credentials', async () => {
    const answer = await homes.gateway.call('GET', `${API}/auth/me`)
    expectProblem(answer, { status: 401, code: 'UNAUTHENTICATED' })
    expect(answer.headers.get('www-authenticate')).toBe('Bearer')
  })
})
