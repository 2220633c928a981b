import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ServiceKeys } from '../../src/identity/tokens/service-keys.ts'
import { AccountTools } from '../http/account-tools.ts'
import { addPerson, addRole, as, fresh, PASSWORD, signIn } from '../http/people.ts'
import { API } from '../http/support.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import {
  type Answer,
  type Caller,
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { PLACES, startProcess } from './support.ts'

/** A credential that both gateways accept, and the call that revokes it. */
interface Case {
  readonly use: (gateway: Caller) => Promise<Answer>
  readonly take: () => Promise<Answer>
  readonly refused: number
}

const WAITED_MS = 5_000
/** No health rounds: only the change itself may have an effect. */
const UNLIMITED = { LOGIN_RATE_LIMIT_PER_MINUTE: '100000', HEALTH_CHECK_CRON: '0 0 1 1 *' }

let stage: Stage
let one: TestGateway
let other: { process: GatewayProcess; caller: Caller }
let tenant: TestTenant
let neighbour: TestTenant
let accounts: AccountTools
beforeAll(async () => {
  stage = await createStage()
  one = await startGateway(stage, UNLIMITED)
  other = await startProcess(stage, UNLIMITED)
  tenant = await one.createTenant()
  neighbour = await one.createTenant()
  accounts = new AccountTools(one)
})
afterAll(async () => {
  other?.process.child.kill('SIGKILL')
  await other?.process.ended
  await one?.close()
  await dropAll()
})

const list = (token: string) => (gateway: Caller) => gateway.call('GET', PLACES, { token })
const admin = (method: string, path: string, body?: unknown) => as(one, tenant.token)(method, path, body)
const operate = (method: string, path: string, body?: unknown) => one.operator(method, path, body)

async function clientKey(): Promise<{ id: string; use: Case['use'] }> {
  const made = { name: 'Program', permissions: ['properties:read'] }
  const { body } = await admin('POST', '/client-keys', made)
  const headers = { 'x-client-key': body.key as string, 'x-tenant-code': tenant.code }
  return { id: body.id, use: (gateway) => gateway.call('GET', PLACES, { headers }) }
}

async function operator(): Promise<{ id: string; use: Case['use'] }> {
  const { body } = await operate('POST', '/operators', { name: 'Ann', role: 'viewer' })
  return {
    id: body.id,
    use: (gateway) => gateway.call('GET', `${API}/tenants?limit=1`, { token: body.token }),
  }
}

async function user() {
  const role = await addRole(one, tenant, ['properties:read'])
  const person = await addPerson(one, tenant, { roles: [role.name] })
  const pair = await signIn(one, tenant, person)
  return { ...person, role, pair, use: list(pair.accessToken) }
}

async function member(more: { roles?: readonly string[] } = {}) {
  const name = fresh('reader')
  const permissions = ['properties:read']
  const roleId = await accounts.defineRole(tenant, { name, permissions })
  await accounts.defineRole(neighbour, { name, permissions })
  const memberships = [tenant, neighbour].map((each) => ({ tenant: each, roles: more.roles ?? [name] }))
  const { id, token } = await accounts.member(memberships)
  const headers = { 'x-tenant-code': tenant.code }
  return { id, roleId, use: (gateway: Caller) => gateway.call('GET', PLACES, { token, headers }) }
}

async function keyed() {
  const signer = await one.createTenant()
  const key = `/tenants/${signer.id}/signing-key`
  expect((await operate('PUT', key, { algorithm: 'ES256' })).status).toBe(200)
  return { key, use: list(await one.login(signer.code, signer.admin)) }
}

const CASES: Readonly<Record<string, () => Promise<Case>>> = {
  'a client key deleted by its tenant': async () => {
    const { id, use } = await clientKey()
    return { use, take: () => admin('DELETE', `/client-keys/${id}`), refused: 401 }
  },
  'a client key deleted by an operator': async () => {
    const { id, use } = await clientKey()
    const path = `/tenants/${tenant.id}/client-keys/${id}`
    return { use, take: () => operate('DELETE', path), refused: 401 }
  },
  'an operator deleted': async () => {
    const { id, use } = await operator()
    return { use, take: () => operate('DELETE', `/operators/${id}`), refused: 401 }
  },
  'a user deleted by the tenant': async () => {
    const { id, use } = await user()
    return { use, take: () => admin('DELETE', `/users/${id}`), refused: 401 }
  },
  'a user deleted by an operator': async () => {
    const { id, use } = await user()
    return { use, take: () => operate('DELETE', `/tenants/${tenant.id}/users/${id}`), refused: 401 }
  },
  'a user deactivated by the tenant': async () => {
    const { id, use } = await user()
    return { use, take: () => admin('PATCH', `/users/${id}`, { status: 'INACTIVE' }), refused: 401 }
  },
  'a user given another password by an operator': async () => {
    const { id, use } = await user()
    const path = `/tenants/${tenant.id}/users/${id}`
    return { use, take: () => operate('PATCH', path, { password: 'another long password' }), refused: 401 }
  },
  'a user who loses a role': async () => {
    const { id, use } = await user()
    return { use, take: () => admin('PATCH', `/users/${id}`, { roles: [] }), refused: 401 }
  },
  'a user whose role loses a permission': async () => {
    const { role, use } = await user()
    return { use, take: () => admin('PATCH', `/roles/${role.id}`, { permissions: [] }), refused: 401 }
  },
  'a user who changes their own password': async () => {
    const { pair, use } = await user()
    const body = { currentPassword: PASSWORD, newPassword: 'another long password' }
    return { use, take: () => as(one, pair.accessToken)('POST', '/auth/password', body), refused: 401 }
  },
  'a user who signs out everywhere': async () => {
    const { pair, use } = await user()
    const body = { refreshToken: pair.refreshToken, everywhere: true }
    return { use, take: () => one.call('POST', `${API}/auth/logout`, { body }), refused: 401 }
  },
  'an account whose role loses a permission': async () => {
    const { roleId, use } = await member()
    return { use, take: () => admin('PATCH', `/roles/${roleId}`, { permissions: [] }), refused: 403 }
  },
  'an account whose role gets another name': async () => {
    const { roleId, use } = await member()
    return { use, take: () => admin('PATCH', `/roles/${roleId}`, { name: fresh('other') }), refused: 403 }
  },
  'an account whose role is deleted': async () => {
    const { roleId, use } = await member()
    return { use, take: () => admin('DELETE', `/roles/${roleId}`), refused: 403 }
  },
  'an account deactivated': async () => {
    const { id, use } = await member()
    return { use, take: () => operate('PATCH', `/accounts/${id}`, { status: 'INACTIVE' }), refused: 401 }
  },
  'an account deleted': async () => {
    const { id, use } = await member()
    return { use, take: () => operate('DELETE', `/accounts/${id}`), refused: 401 }
  },
  'a membership that loses a role': async () => {
    const { id, use } = await member()
    const path = `/accounts/${id}/memberships/${tenant.id}`
    return { use, take: () => operate('PUT', path, { roles: [] }), refused: 401 }
  },
  'a membership deleted': async () => {
    const { id, use } = await member()
    const path = `/accounts/${id}/memberships/${tenant.id}`
    return { use, take: () => operate('DELETE', path), refused: 401 }
  },
  'a signing key replaced': async () => {
    const { key, use } = await keyed()
    return { use, take: () => operate('PUT', key, { algorithm: 'ES256' }), refused: 401 }
  },
  'a signing key deleted': async () => {
    const { key, use } = await keyed()
    return { use, take: () => operate('DELETE', key), refused: 401 }
  },
}

const effectOf = ({ headers }: Answer) => headers.get('freehold-effective')

async function expectTaken({ use, take, refused }: Case): Promise<void> {
  // A grant is not waited for.
  for (const gateway of [one, other.caller])
    await expect.poll(async () => (await use(gateway)).status, { timeout: 60_000, interval: 20 }).toBe(200)
  const answer = await take()
  const then = await use(other.caller)
  expect([200, 204], answer.text).toContain(answer.status)
  expect(then.status, then.text).toBe(refused)
  expect(effectOf(answer)).toBe('confirmed=2, replicas=2')
  expect((await use(one)).status).toBe(refused)
}

/** Ends every listening connection again and again, so that replicas must poll. */
async function withoutListeners(fn: () => Promise<void>): Promise<void> {
  let killing = true
  const kill = () =>
    query(
      superuserUrl(),
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND query ILIKE 'listen %'",
      [new URL(stage.catalogUrl).pathname.slice(1)],
    )
  const killer = (async () => {
    while (killing) await kill()
  })()
  try {
    await fn()
  } finally {
    killing = false
    await killer
  }
}

describe('when the answer arrives, the other gateway refuses', () => {
  test.each(Object.keys(CASES))('%s', async (name) => {
    const made = await CASES[name]?.()
    if (made !== undefined) await expectTaken(made)
  })

  test.each(Object.keys(CASES))('%s, also while no notification arrives', async (name) => {
    const made = await CASES[name]?.()
    if (made !== undefined) await withoutListeners(() => expectTaken(made))
  })

  test('a rotation of the service keys is confirmed when they have been read, not when they are requested', async () => {
    const slow = Promise.withResolvers<void>()
    const { reload } = ServiceKeys.prototype
    const reading = vi.spyOn(ServiceKeys.prototype, 'reload').mockImplementation(async function (
      this: ServiceKeys,
    ) {
      await slow.promise
      return reload.call(this)
    })
    try {
      let answered = false
      const rotation = other.caller.operator('POST', '/signing-key/rotate').then((answer) => {
        answered = true
        return answer
      })
      await expect.poll(() => reading.mock.calls.length).toBeGreaterThan(0)
      // By now the change would have been confirmed. A later change waits for it too.
      const { id } = await operator()
      const later = operate('DELETE', `/operators/${id}`)
      await delay(500)
      expect(answered).toBe(false)
      slow.resolve()
      const answer = await rotation
      expect([effectOf(answer), effectOf(await later)]).toEqual(Array(2).fill('confirmed=2, replicas=2'))
      const { body } = await one.call('GET', '/.well-known/jwks.json')
      expect(body.keys.map(({ kid }: { kid: string }) => kid)).toContain(answer.body.kid)
    } finally {
      slow.resolve()
      reading.mockRestore()
    }
  })
})

describe('an answer without a wait', () => {
  test('is given where nothing is revoked', async () => {
    const { id } = await user()
    const { id: accountId } = await member()
    const answers = [
      await admin('PATCH', `/users/${id}`, { name: 'Ada' }),
      await operate('PATCH', `/tenants/${tenant.id}/users/${id}`, { status: 'ACTIVE' }),
      await operate('PATCH', `/accounts/${accountId}`, { name: 'Ada' }),
      await admin('POST', '/roles', { name: fresh('role'), permissions: [] }),
    ]
    expect(answers.map((answer) => [answer.status < 300, effectOf(answer)])).toEqual(
      answers.map(() => [true, null]),
    )
  })
})

describe('a gateway that has frozen', () => {
  test('is waited for at most five seconds, and is not counted as applying the change', async () => {
    const [key, ann, person, account] = [await clientKey(), await operator(), await user(), await member()]
    const twice = await member()
    other.process.child.kill('SIGSTOP')
    try {
      const begun = performance.now()
      const deactivate = () => operate('PATCH', `/accounts/${twice.id}`, { status: 'INACTIVE' })
      const first = deactivate()
      const stands = async () => (await operate('GET', `/accounts/${twice.id}`)).body.status
      await expect.poll(stands, { timeout: 3_000, interval: 20 }).toBe('INACTIVE')
      // The repeated call finds nothing to revoke, and reports how many replicas apply the first one.
      const repeated = deactivate()
      const answers = await Promise.all([
        ...[first, repeated],
        admin('DELETE', `/client-keys/${key.id}`),
        operate('DELETE', `/operators/${ann.id}`),
        admin('PATCH', `/users/${person.id}`, { status: 'INACTIVE' }),
        operate('DELETE', `/accounts/${account.id}`),
        admin('DELETE', `/roles/${account.roleId}`),
      ])
      const tookMs = performance.now() - begun
      for (const answer of answers) {
        expect([200, 204]).toContain(answer.status)
        expect(effectOf(answer)).toBe('confirmed=1, replicas=2')
      }
      expect(tookMs).toBeGreaterThanOrEqual(WAITED_MS)
      expect(tookMs).toBeLessThan(2 * WAITED_MS)
    } finally {
      other.process.child.kill('SIGCONT')
    }
  })
})
