import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { AccountTools } from './account-tools.ts'
import { fresh, inDatabase, PASSWORD } from './people.ts'
import { API, expectProblem, type Homes, openHomes } from './support.ts'

let homes: Homes
beforeAll(async () => {
  homes = await openHomes()
})
afterAll(async () => {
  await homes?.gateway.close()
  await dropAll()
})

const COMPOSED = 'jos\u00e9'
const APART = 'jose\u0301'
const INVALID = { status: 401, code: 'INVALID_CREDENTIALS' }

const login = (
  tenantCode: string,
  email: string,
  password = PASSWORD,
  headers: Record<string, string> = {},
) => homes.gateway.call('POST', `${API}/auth/login`, { body: { tenantCode, email, password }, headers })
const users = (home: 'shared' | 'own', body: object) =>
  homes.gateway.operator('POST', `/tenants/${homes[home].id}/users`, { password: PASSWORD, ...body })

describe("a tenant's code", () => {
  test('is found however it is typed, in the body and in the header', async () => {
    const { code, token, admin } = homes.shared
    for (const typed of [code.toUpperCase(), ` ${code} `, `\t${code[0]?.toUpperCase()}${code.slice(1)}`]) {
      expect((await login(typed, admin.email, admin.password)).status, typed).toBe(200)
      const beside = await login(code, admin.email, admin.password, { 'x-tenant-code': typed })
      expect(beside.status, typed).toBe(200)
      const headers = { 'x-tenant-code': typed }
      expect((await homes.gateway.call('GET', `${API}/places`, { token, headers })).status).toBe(200)
    }
    const key = await homes.gateway.call('POST', `${API}/client-keys`, {
      token,
      body: { name: 'k', permissions: ['properties:read'] },
    })
    const headers = { 'x-client-key': key.body.key, 'x-tenant-code': code.toUpperCase() }
    expect((await homes.gateway.call('GET', `${API}/places`, { headers })).status).toBe(200)
  })

  test("is no stranger's, however it is typed", async () => {
    const { token } = homes.shared
    const headers = { 'x-tenant-code': homes.stranger.code.toUpperCase() }
    const answer = await homes.gateway.call('GET', `${API}/places`, { token, headers })
    expectProblem(answer, { status: 403, code: 'CROSS_TENANT_ACCESS' })
  })

  test('is exact where a tenant is made', async () => {
    for (const code of ['Acme-Exact', ' acme-exact']) {
      const answer = await homes.gateway.operator('POST', '/tenants', { code, name: 'x' })
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/code'] })
    }
  })
})

describe.each(['shared', 'own'] as const)('an address of a user (%s)', (home) => {
  test('is stored once and found in every spelling', async () => {
    const end = `${fresh('x')}.example`
    const made = await users(home, { email: ` ${APART.toUpperCase()}@${end.toUpperCase()} ` })
    expect([made.status, made.body.email]).toEqual([201, `${COMPOSED}@${end}`])
    for (const name of [COMPOSED, APART, COMPOSED.toUpperCase(), APART.toUpperCase(), ` ${APART}`])
      expect((await login(homes[home].code, `${name}@${end}`)).status, name).toBe(200)
    for (const name of [COMPOSED, APART, APART.toUpperCase()]) {
      const again = await users(home, { email: `${name}@${end}` })
      expectProblem(again, { status: 409, code: 'CONFLICT', pointers: ['/email'] })
    }
    for (const name of ['jose', 'jos\u0117'])
      expectProblem(await login(homes[home].code, `${name}@${end}`), INVALID)
  })

  test('with a dotless i is another one', async () => {
    const end = `${fresh('x')}.example`
    expect((await users(home, { email: `\u0131rem@${end}` })).status).toBe(201)
    expectProblem(await login(homes[home].code, `irem@${end}`), INVALID)
    expectProblem(await login(homes[home].code, `IREM@${end}`), INVALID)
    expect((await login(homes[home].code, ` \u0131REM@${end}`)).status).toBe(200)
    expect((await login(homes[home].code, ` \u0131rem@${end.toUpperCase()}`)).status).toBe(200)
  })

  test('from before is found as it was typed then, and never taken for another', async () => {
    const end = `${fresh('x')}.example`
    const url = homes.urls[home]
    const [old, now] = [`old@${end}`, `now@${end}`]
    const oldUser = await users(home, { email: old })
    const rename = (id: string, email: string) =>
      inDatabase(url, 'update users set email = $2 where id = $1', [id, email])
    await rename(oldUser.body.id, `OLD.${APART}@${end}`)
    for (const name of [`old.${COMPOSED}`, `Old.${APART}`, `OLD.${COMPOSED.toUpperCase()}`])
      expect((await login(homes[home].code, `${name}@${end}`)).status, name).toBe(200)
    const taken = { status: 409, code: 'CONFLICT', pointers: ['/email'] }
    expectProblem(await users(home, { email: `old.${COMPOSED}@${end}` }), taken)
    const other = await users(home, { email: now, password: 'another battery staple' })
    const path = `/tenants/${homes[home].id}/users/${other.body.id}`
    expectProblem(await homes.gateway.operator('PATCH', path, { email: `OLD.${COMPOSED}@${end}` }), taken)
    // Two who differ in this alone, as they could be made before: each is found by their own spelling.
    await rename(other.body.id, `old.${COMPOSED}@${end}`)
    expect((await login(homes[home].code, `old.${APART}@${end}`)).status).toBe(200)
    expectProblem(await login(homes[home].code, `old.${COMPOSED}@${end}`), INVALID)
    expect((await login(homes[home].code, `old.${COMPOSED}@${end}`, 'another battery staple')).status).toBe(
      200,
    )
  })

  test('has one lockout, which no spelling gets around', async () => {
    const end = `${fresh('x')}.example`
    await homes.gateway.operator('PATCH', `/tenants/${homes[home].id}`, {
      authConfig: { lockout: { attempts: 4, windowSeconds: 60 } },
    })
    await users(home, { email: `${COMPOSED}@${end}` })
    const spellings = [COMPOSED, APART, ` ${COMPOSED.toUpperCase()}`, `${APART.toUpperCase()}`]
    for (const name of spellings)
      expectProblem(await login(homes[home].code, `${name}@${end} `, 'wrong'), INVALID)
    for (const name of [...spellings, `\t${APART}`]) {
      const answer = await login(homes[home].code, `${name}@${end}`)
      expectProblem(answer, { status: 403, code: 'ACCOUNT_LOCKED' })
    }
  })
})

test("an account's address is found, counted and taken in every spelling", async () => {
  const tools = new AccountTools(homes.gateway)
  const end = `${fresh('x')}.example`
  const make = (email: string) => homes.gateway.operator('POST', '/accounts', { email, password: PASSWORD })
  const made = await make(` ${APART.toUpperCase()}@${end}`)
  expect([made.status, made.body.email]).toEqual([201, `${COMPOSED}@${end}`])
  for (const name of [COMPOSED, APART]) {
    expectProblem(await make(`${name}@${end}`), { status: 409, code: 'CONFLICT' })
    const answer = await homes.gateway.call('POST', `${API}/auth/accounts/login`, {
      body: { email: ` ${name.toUpperCase()}@${end}`, password: PASSWORD },
    })
    expect(answer.status).toBe(200)
  }
  await inDatabase(homes.stage.catalogUrl, 'update accounts set email = $2 where id = $1', [
    made.body.id,
    `${APART}@${end}`,
  ])
  expectProblem(await make(`${COMPOSED}@${end}`), { status: 409, code: 'CONFLICT' })
  for (const name of [COMPOSED, APART]) {
    const answer = await homes.gateway.call('POST', `${API}/auth/accounts/login`, {
      body: { email: `${name}@${end}`, password: PASSWORD },
    })
    expect(answer.status, name).toBe(200)
  }
  const wrong = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? COMPOSED : APART.toUpperCase()))
  for (const name of wrong) await tools.tryLogin(`${name}@${end}`, 'wrong')
  expectProblem(await tools.tryLogin(` ${APART}@${end}`), { status: 403, code: 'ACCOUNT_LOCKED' })
})

test('the name of a role is the same, composed or not', async () => {
  const path = `/tenants/${homes.shared.id}`
  const role = await homes.gateway.operator('POST', `${path}/roles`, { name: APART, permissions: [] })
  expect([role.status, role.body.name]).toEqual([201, COMPOSED])
  const again = await homes.gateway.operator('POST', `${path}/roles`, { name: COMPOSED, permissions: [] })
  expectProblem(again, { status: 409, code: 'CONFLICT' })
  const user = await users('shared', { email: `${fresh('r')}@x.example`, roles: [APART] })
  expect([user.status, user.body.roles]).toEqual([201, [COMPOSED]])
})
