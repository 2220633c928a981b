import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { AccountTools } from './account-tools.ts'
import { fresh, inDatabase, PASSWORD } from './people.ts'
import { API, expectProblem, type Fixture, openFixture } from './support.ts'

let fixture: Fixture
beforeAll(async () => {
  fixture = await openFixture()
})
afterAll(async () => {
  await fixture?.gateway.close()
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
) => fixture.gateway.call('POST', `${API}/auth/login`, { body: { tenantCode, email, password }, headers })
const users = (placement: 'shared' | 'dedicated', body: object) =>
  fixture.gateway.operator('POST', `/tenants/${fixture[placement].id}/users`, { password: PASSWORD, ...body })

describe("a tenant's code", () => {
  test('is found in any spelling, in the body and in the header', async () => {
    const { code, token, admin } = fixture.shared
    for (const typed of [code.toUpperCase(), ` ${code} `, `\t${code[0]?.toUpperCase()}${code.slice(1)}`]) {
      expect((await login(typed, admin.email, admin.password)).status, typed).toBe(200)
      const beside = await login(code, admin.email, admin.password, { 'x-tenant-code': typed })
      expect(beside.status, typed).toBe(200)
      const headers = { 'x-tenant-code': typed }
      expect((await fixture.gateway.call('GET', `${API}/places`, { token, headers })).status).toBe(200)
    }
    const key = await fixture.gateway.call('POST', `${API}/client-keys`, {
      token,
      body: { name: 'k', permissions: ['properties:read'] },
    })
    const headers = { 'x-client-key': key.body.key, 'x-tenant-code': code.toUpperCase() }
    expect((await fixture.gateway.call('GET', `${API}/places`, { headers })).status).toBe(200)
  })

  test('selects no other tenant, in any spelling', async () => {
    const { token } = fixture.shared
    const headers = { 'x-tenant-code': fixture.other.code.toUpperCase() }
    const answer = await fixture.gateway.call('GET', `${API}/places`, { token, headers })
    expectProblem(answer, { status: 403, code: 'CROSS_TENANT_ACCESS' })
  })

  test('must be exact when a tenant is created', async () => {
    for (const code of ['Acme-Exact', ' acme-exact']) {
      const answer = await fixture.gateway.operator('POST', '/tenants', { code, name: 'x' })
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: ['/code'] })
    }
  })
})

describe.each(['shared', 'dedicated'] as const)('an address of a user (%s)', (placement) => {
  test('is stored once and found in every spelling', async () => {
    const end = `${fresh('x')}.example`
    const made = await users(placement, { email: ` ${APART.toUpperCase()}@${end.toUpperCase()} ` })
    expect([made.status, made.body.email]).toEqual([201, `${COMPOSED}@${end}`])
    for (const name of [COMPOSED, APART, COMPOSED.toUpperCase(), APART.toUpperCase(), ` ${APART}`])
      expect((await login(fixture[placement].code, `${name}@${end}`)).status, name).toBe(200)
    for (const name of [COMPOSED, APART, APART.toUpperCase()]) {
      const again = await users(placement, { email: `${name}@${end}` })
      expectProblem(again, { status: 409, code: 'CONFLICT', pointers: ['/email'] })
    }
    for (const name of ['jose', 'jos\u0117'])
      expectProblem(await login(fixture[placement].code, `${name}@${end}`), INVALID)
  })

  test('with a dotless i is another address', async () => {
    const end = `${fresh('x')}.example`
    expect((await users(placement, { email: `\u0131rem@${end}` })).status).toBe(201)
    expectProblem(await login(fixture[placement].code, `irem@${end}`), INVALID)
    expectProblem(await login(fixture[placement].code, `IREM@${end}`), INVALID)
    expect((await login(fixture[placement].code, ` \u0131REM@${end}`)).status).toBe(200)
    expect((await login(fixture[placement].code, ` \u0131rem@${end.toUpperCase()}`)).status).toBe(200)
  })

  test('of an older release is found as it was typed then, and never mistaken for another', async () => {
    const end = `${fresh('x')}.example`
    const url = fixture.urls[placement]
    const [old, now] = [`old@${end}`, `now@${end}`]
    const oldUser = await users(placement, { email: old })
    const rename = (id: string, email: string) =>
      inDatabase(url, 'update users set email = $2 where id = $1', [id, email])
    await rename(oldUser.body.id, `OLD.${APART}@${end}`)
    for (const name of [`old.${COMPOSED}`, `Old.${APART}`, `OLD.${COMPOSED.toUpperCase()}`])
      expect((await login(fixture[placement].code, `${name}@${end}`)).status, name).toBe(200)
    const taken = { status: 409, code: 'CONFLICT', pointers: ['/email'] }
    expectProblem(await users(placement, { email: `old.${COMPOSED}@${end}` }), taken)
    const other = await users(placement, { email: now, password: 'another battery staple' })
    const path = `/tenants/${fixture[placement].id}/users/${other.body.id}`
    expectProblem(await fixture.gateway.operator('PATCH', path, { email: `OLD.${COMPOSED}@${end}` }), taken)
    // Two users whose addresses differ only in this, as older releases allowed. Each is found under its exact spelling.
    await rename(other.body.id, `old.${COMPOSED}@${end}`)
    expect((await login(fixture[placement].code, `old.${APART}@${end}`)).status).toBe(200)
    expectProblem(await login(fixture[placement].code, `old.${COMPOSED}@${end}`), INVALID)
    expect(
      (await login(fixture[placement].code, `old.${COMPOSED}@${end}`, 'another battery staple')).status,
    ).toBe(200)
  })

  test('has one lockout for all its spellings', async () => {
    const end = `${fresh('x')}.example`
    await fixture.gateway.operator('PATCH', `/tenants/${fixture[placement].id}`, {
      authConfig: { lockout: { attempts: 4, windowSeconds: 60 } },
    })
    await users(placement, { email: `${COMPOSED}@${end}` })
    const spellings = [COMPOSED, APART, ` ${COMPOSED.toUpperCase()}`, `${APART.toUpperCase()}`]
    for (const name of spellings)
      expectProblem(await login(fixture[placement].code, `${name}@${end} `, 'wrong'), INVALID)
    for (const name of [...spellings, `\t${APART}`]) {
      const answer = await login(fixture[placement].code, `${name}@${end}`)
      expectProblem(answer, { status: 403, code: 'ACCOUNT_LOCKED' })
    }
  })
})

test("an account's address is found, counted and unique in every spelling", async () => {
  const tools = new AccountTools(fixture.gateway)
  const end = `${fresh('x')}.example`
  const make = (email: string) => fixture.gateway.operator('POST', '/accounts', { email, password: PASSWORD })
  const made = await make(` ${APART.toUpperCase()}@${end}`)
  expect([made.status, made.body.email]).toEqual([201, `${COMPOSED}@${end}`])
  for (const name of [COMPOSED, APART]) {
    expectProblem(await make(`${name}@${end}`), { status: 409, code: 'CONFLICT' })
    const answer = await fixture.gateway.call('POST', `${API}/auth/accounts/login`, {
      body: { email: ` ${name.toUpperCase()}@${end}`, password: PASSWORD },
    })
    expect(answer.status).toBe(200)
  }
  await inDatabase(fixture.stage.catalogUrl, 'update accounts set email = $2 where id = $1', [
    made.body.id,
    `${APART}@${end}`,
  ])
  expectProblem(await make(`${COMPOSED}@${end}`), { status: 409, code: 'CONFLICT' })
  for (const name of [COMPOSED, APART]) {
    const answer = await fixture.gateway.call('POST', `${API}/auth/accounts/login`, {
      body: { email: `${name}@${end}`, password: PASSWORD },
    })
    expect(answer.status, name).toBe(200)
  }
  const wrong = Array.from({ length: 10 }, (_, i) => (i % 2 === 0 ? COMPOSED : APART.toUpperCase()))
  for (const name of wrong) await tools.tryLogin(`${name}@${end}`, 'wrong')
  expectProblem(await tools.tryLogin(` ${APART}@${end}`), { status: 403, code: 'ACCOUNT_LOCKED' })
})

test('the name of a role is the same in composed and decomposed form', async () => {
  const path = `/tenants/${fixture.shared.id}`
  const role = await fixture.gateway.operator('POST', `${path}/roles`, { name: APART, permissions: [] })
  expect([role.status, role.body.name]).toEqual([201, COMPOSED])
  const again = await fixture.gateway.operator('POST', `${path}/roles`, { name: COMPOSED, permissions: [] })
  expectProblem(again, { status: 409, code: 'CONFLICT' })
  const user = await users('shared', { email: `${fresh('r')}@x.example`, roles: [APART] })
  expect([user.status, user.body.roles]).toEqual([201, [COMPOSED]])
})
