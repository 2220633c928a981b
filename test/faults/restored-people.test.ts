import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  addPerson,
  addRole,
  as,
  inDatabase,
  PASSWORD,
  type Pair,
  type Person,
  signIn,
} from '../http/people.ts'
import { API, expectProblem } from '../http/support.ts'
import {
  createDatabase,
  createRole,
  dropAll,
  query,
  superuserUrl,
  type TestRole,
  terminateBackends,
  uniqueName,
  urlFor,
} from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { PLACES, register } from './support.ts'

const VOID = { status: 401, code: 'TOKEN_INVALID' }
const WRONG = { status: 401, code: 'INVALID_CREDENTIALS' }
const MORE = { LOGIN_RATE_LIMIT_PER_MINUTE: '100000', HEALTH_CHECK_CRON: '0 0 1 1 *' }
const SLOW = 60_000

let stage: Stage
let one: TestGateway
let other: TestGateway
let role: TestRole
beforeAll(async () => {
  stage = await createStage()
  ;[one, other] = await Promise.all([startGateway(stage, MORE), startGateway(stage, MORE)])
  role = await createRole()
})
afterAll(async () => {
  await one?.close()
  await other?.close()
  await dropAll()
})

/** A tenant in a dedicated database. */
interface House {
  readonly tenant: TestTenant
  readonly database: string
  readonly url: string
}

async function settle(): Promise<House> {
  const tenant = await one.createTenant()
  const database = await createDatabase({ owner: role.name })
  const url = urlFor({ role, database })
  await register({ caller: one, tenantId: tenant.id, url })
  return { tenant, database, url }
}

/** Runs `fn` while the database has no session, as a backup or a rename needs it. */
async function whileEmpty(database: string, fn: () => Promise<unknown>): Promise<void> {
  await query(superuserUrl(), `ALTER DATABASE "${database}" ALLOW_CONNECTIONS false`)
  await terminateBackends(database)
  await fn()
}

/** A copy of the database as it is now. */
async function backUp({ database }: House): Promise<string> {
  const copy = uniqueName()
  await whileEmpty(database, async () => {
    await query(superuserUrl(), `CREATE DATABASE "${copy}" OWNER "${role.name}" TEMPLATE "${database}"`)
    await query(superuserUrl(), `ALTER DATABASE "${database}" ALLOW_CONNECTIONS true`)
  })
  return copy
}

/** Replaces the database by a copy, and has the gateway accept the copy. */
async function restore({ tenant, database }: House, copy: string): Promise<void> {
  const aside = uniqueName()
  await whileEmpty(database, async () => {
    await query(superuserUrl(), `ALTER DATABASE "${database}" RENAME TO "${aside}"`)
    await query(superuserUrl(), `ALTER DATABASE "${copy}" RENAME TO "${database}"`)
  })
  await one.operator('POST', `/tenants/${tenant.id}/database/validate`)
  const raised = `/audit-log?tenantId=${tenant.id}&action=user.generation-raise`
  await expect.poll(async () => (await one.operator('GET', raised)).body.data.length).toBe(1)
  // The lost revocations are restored before the copy is accepted, and every gateway must then hear of that.
  for (const gateway of [one, other])
    await expect.poll(async () => (await list(tenant.token, gateway)).status).toBe(200)
}

const list = (token: string, gateway = one) => gateway.call('GET', PLACES, { token })
const refresh = ({ refreshToken }: Pair, gateway = one) =>
  gateway.call('POST', `${API}/auth/refresh`, { body: { refreshToken } })
const admin = ({ tenant }: House, method: string, path: string, body?: unknown) =>
  as(one, tenant.token)(method, path, body)

async function expectVoid(token: string): Promise<void> {
  for (const gateway of [one, other]) expectProblem(await list(token, gateway), VOID)
}

async function expectServed(token: string): Promise<void> {
  for (const gateway of [one, other]) expect((await list(token, gateway)).status).toBe(200)
}

async function addReader(house: House): Promise<Person & { role: { id: string; name: string } }> {
  const reader = await addRole(one, house.tenant, ['properties:read'])
  return { ...(await addPerson(one, house.tenant, { roles: [reader.name] })), role: reader }
}

describe('a database that is restored from a backup', () => {
  test(
    'accepts new logins, and refuses earlier tokens of a user whose changes it has lost',
    async () => {
      const house = await settle()
      const [ann, bob] = [await addReader(house), await addReader(house)]
      const [early, bobs] = [await signIn(one, house.tenant, ann), await signIn(one, house.tenant, bob)]
      const copy = await backUp(house)
      const newPassword = 'another long password'
      expect((await admin(house, 'PATCH', `/users/${ann.id}`, { password: newPassword })).status).toBe(200)
      expect((await admin(house, 'PATCH', `/users/${ann.id}`, { roles: [ann.role.name] })).status).toBe(200)
      const late = await signIn(one, house.tenant, { ...ann, password: newPassword })
      await expectServed(late.accessToken)
      await restore(house, copy)

      for (const { accessToken } of [early, late]) await expectVoid(accessToken)
      for (const pair of [early, late]) expectProblem(await refresh(pair), WRONG)
      const again = await signIn(one, house.tenant, ann)
      await expectServed(again.accessToken)
      expect((await refresh(again, other)).status).toBe(200)
      // Users without lost changes notice nothing.
      await expectServed(bobs.accessToken)
      expect((await refresh(bobs)).status).toBe(200)

      expect((await admin(house, 'PATCH', `/users/${ann.id}`, { status: 'INACTIVE' })).status).toBe(200)
      await expectVoid(again.accessToken)
      expect(one.log() + other.log()).toContain('database had lost revocations')
    },
    SLOW,
  )
})

describe('a database that lost its last changes, as in a failover', () => {
  /** Changes the user’s password twice, signs in, and makes the database lose both changes. */
  async function forgotten() {
    const house = await settle()
    const ann = await addReader(house)
    const early = await signIn(one, house.tenant, ann)
    for (const password of ['another long password', PASSWORD])
      expect((await admin(house, 'PATCH', `/users/${ann.id}`, { password })).status).toBe(200)
    const late = await signIn(one, house.tenant, ann)
    const forget = (text: string) => inDatabase(house.url, text, [ann.id])
    await forget('update users set generation = 0 where id = $1')
    await forget('update sessions set revoked_at = null where user_id = $1')
    return { house, ann, early, late }
  }

  test(
    'accepts new logins, and ends the login sessions that came back',
    async () => {
      const { house, ann, early } = await forgotten()
      expectProblem(await refresh(early, other), WRONG)
      const again = await signIn(other, house.tenant, ann)
      await expectServed(again.accessToken)
      expect((await refresh(again)).status).toBe(200)
      await expectVoid(early.accessToken)
      expectProblem(await refresh(early), WRONG)
    },
    SLOW,
  )

  test(
    'accepts a login as the first request, and ends the login sessions that came back',
    async () => {
      const { house, ann, early, late } = await forgotten()
      const again = await signIn(one, house.tenant, ann)
      await expectServed(again.accessToken)
      for (const pair of [early, late]) expectProblem(await refresh(pair), WRONG)
      expect((await refresh(again)).status).toBe(200)
    },
    SLOW,
  )

  const TAKING: Readonly<Record<string, (made: Awaited<ReturnType<typeof forgotten>>) => Promise<unknown>>> =
    {
      'the user is deactivated': ({ house, ann }) =>
        admin(house, 'PATCH', `/users/${ann.id}`, { status: 'INACTIVE' }),
      'the user loses a role': ({ house, ann }) => admin(house, 'PATCH', `/users/${ann.id}`, { roles: [] }),
      'the user is deleted': ({ house, ann }) => admin(house, 'DELETE', `/users/${ann.id}`),
      'the role loses a permission': ({ house, ann }) =>
        admin(house, 'PATCH', `/roles/${ann.role.id}`, { permissions: [] }),
      'the user signs out everywhere': ({ late }) =>
        one.call('POST', `${API}/auth/logout`, {
          body: { refreshToken: late.refreshToken, everywhere: true },
        }),
      'the user changes the password': ({ late }) =>
        as(one, late.accessToken)('POST', '/auth/password', {
          currentPassword: PASSWORD,
          newPassword: 'a third long password',
        }),
    }

  test.each(Object.keys(TAKING))(
    'revokes tokens that it does not know when %s',
    async (name) => {
      const made = await forgotten()
      await expectServed(made.late.accessToken)
      const answer = (await TAKING[name]?.(made)) as { status: number; text: string }
      expect([200, 204], answer.text).toContain(answer.status)
      await expectVoid(made.late.accessToken)
    },
    SLOW,
  )
})
