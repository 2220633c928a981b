import { createHash } from 'node:crypto'
import { performance } from 'node:perf_hooks'
import { hash as argonHash } from '@node-rs/argon2'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, superuserUrl } from '../support/database.ts'
import { startGateway, type TestGateway, type TestTenant } from '../support/gateway.ts'
import { withClient } from '../support/tenant-database.ts'
import { addPerson, as, inDatabase, PASSWORD, type Person, signIn } from './people.ts'
import { API, expectProblem, type Fixture, NOTIFIED, openFixture } from './support.ts'

const WRONG = { status: 401, code: 'INVALID_CREDENTIALS' }
const LOCKED = { status: 403, code: 'ACCOUNT_LOCKED' }
const REUSED = { status: 401, code: 'REFRESH_TOKEN_REUSED' }
const VOID = { status: 401, code: 'TOKEN_INVALID' }
const UNLIMITED = { LOGIN_RATE_LIMIT_PER_MINUTE: '1000000' }

let fixture: Fixture
let gateway: TestGateway
let replica: TestGateway
beforeAll(async () => {
  // Some tests measure the cost of a hash.
  fixture = await openFixture(UNLIMITED, { realPasswords: true })
  gateway = fixture.gateway
  replica = await startGateway(fixture.stage, UNLIMITED)
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await dropAll()
})

const post = (path: string, body: unknown, from = gateway) =>
  from.call('POST', `${API}/auth/${path}`, { body })
const me = (token: string, from = gateway) => from.call('GET', `${API}/auth/me`, { token })
const refresh = (refreshToken: string, from = gateway) => post('refresh', { refreshToken }, from)
const logIn = ({ code }: TestTenant, person: object, from = gateway) =>
  post('login', { tenantCode: code, ...person }, from)
const nameOf = ({ email, password }: Person) => ({ email, password })
const count = (statuses: readonly number[], wanted: number) =>
  statuses.filter((status) => status === wanted).length

describe.each(['shared', 'dedicated'] as const)('a tenant in a %s database', (placement) => {
  const sql = (text: string, values: unknown[] = []) => inDatabase(fixture.urls[placement], text, values)
  const join = () => addPerson(gateway, fixture[placement])
  const enter = (person: Person) => signIn(gateway, fixture[placement], person)

  describe('a refresh token', () => {
    /** Two browser tabs use it, each at another gateway. */
    const useTwentyTimes = (refreshToken: string) =>
      Promise.all(
        Array.from({ length: 20 }, (_, n) => refresh(refreshToken, n % 2 === 0 ? gateway : replica)),
      )
    const allowReuse = (refreshReuseSeconds: number) =>
      gateway.operator('PATCH', `/tenants/${fixture[placement].id}`, { authConfig: { refreshReuseSeconds } })

    test('that 20 requests use at once on two replicas gives all of them the same valid successor', async () => {
      for (let round = 0; round < 3; round++) {
        const { refreshToken } = await enter(await join())
        const answers = await useTwentyTimes(refreshToken)
        expect(answers.map(({ status, text }) => (status === 200 ? '' : text)).join('')).toBe('')
        const next = new Set(answers.map(({ body }) => body.refreshToken as string))
        expect(next.size).toBe(1)
        expect(new Set(answers.map(({ body }) => body.accessToken)).size).toBe(20)
        for (const { body } of answers.slice(0, 2)) expect((await me(body.accessToken)).status).toBe(200)
        const [successor = ''] = next
        expect((await refresh(successor, replica)).status).toBe(200)
        // From here on two parties have the first token.
        expectProblem(await refresh(refreshToken), REUSED)
      }
    })

    test('that is reused after its time or after a logout ends the family', async () => {
      const [late, over] = [await enter(await join()), await enter(await join())]
      const idOf = (token: string) =>
        Buffer.from(token.slice(4, 47), 'base64url').subarray(16).toString('hex')
      const { body: next } = await refresh(late.refreshToken)
      await sql("update sessions set replaced_at = replaced_at - interval '9 s' where id = $1", [
        idOf(late.refreshToken),
      ])
      expect((await refresh(late.refreshToken, replica)).body.refreshToken).toBe(next.refreshToken)
      await sql("update sessions set replaced_at = replaced_at - interval '2 s' where id = $1", [
        idOf(late.refreshToken),
      ])
      expectProblem(await refresh(late.refreshToken), REUSED)
      expectProblem(await refresh(next.refreshToken), WRONG)
      const { body: after } = await refresh(over.refreshToken)
      expect((await post('logout', { refreshToken: after.refreshToken })).status).toBe(204)
      expectProblem(await refresh(over.refreshToken), REUSED)
    })

    test('that is reused by a user who is INACTIVE by then gives no token', async () => {
      const person = await join()
      const { refreshToken } = await enter(person)
      expect((await refresh(refreshToken)).status).toBe(200)
      await sql(`update users set status = 'INACTIVE' where id = $1`, [person.id])
      expect((await refresh(refreshToken)).status).toBe(401)
    })

    test('that 20 requests use at once without permitted reuse is valid for one of them, and its family ends', async () => {
      expect((await allowReuse(0)).body.authConfig.refreshReuseSeconds).toBe(0)
      for (let round = 0; round < 3; round++) {
        const { refreshToken } = await enter(await join())
        const answers = await useTwentyTimes(refreshToken)
        const winners = answers.filter(({ status }) => status === 200)
        expect(winners, answers.map(({ text }) => text).join()).toHaveLength(1)
        for (const answer of answers) if (answer.status !== 200) expectProblem(answer, REUSED)
        expectProblem(await refresh(winners[0]?.body.refreshToken), WRONG)
      }
      expect((await allowReuse(10)).body.authConfig.refreshReuseSeconds).toBe(10)
    })

    test('that is reused ends its successors, and no other login session', async () => {
      const person = await join()
      const [first, other] = [await enter(person), await enter(person)]
      const { body: second } = await refresh(first.refreshToken)
      const { body: third } = await refresh(second.refreshToken)
      expectProblem(await refresh(first.refreshToken), REUSED)
      for (const { refreshToken } of [second, third]) expect((await refresh(refreshToken)).status).toBe(401)
      expect((await refresh(other.refreshToken)).status).toBe(200)
      const noted = `/audit-log?action=auth.refresh-reused&actor=${person.id}`
      await expect.poll(async () => (await gateway.operator('GET', noted)).body.data).toHaveLength(1)
    })

    test('ends after the idle time, also just before its family would', async () => {
      const person = await join()
      const [idle, used] = [await enter(person), await enter(person)]
      const idOf = (token: string) =>
        Buffer.from(token.slice(4, 47), 'base64url').subarray(16).toString('hex')
      await sql('update sessions set expires_at = now() where id = $1', [idOf(idle.refreshToken)])
      expectProblem(await refresh(idle.refreshToken), WRONG)
      const { body: next } = await refresh(used.refreshToken)
      const [row] = await sql(
        `select extract(epoch from expires_at - now())::int as idle, extract(epoch from absolute_expires_at - now())::int as whole
         from sessions where id = $1`,
        [idOf(next.refreshToken)],
      )
      const days = (seconds: unknown) => Math.round(Number(seconds) / 86_400)
      expect([days(row?.idle), days(row?.whole)]).toEqual([30, 90])
    })

    test('ends with its family, even if it is used often', async () => {
      const person = await join()
      const { refreshToken } = await enter(person)
      await sql(`update sessions set absolute_expires_at = now() + interval '1 day' where user_id = $1`, [
        person.id,
      ])
      const { body: next } = await refresh(refreshToken)
      const rows = await sql(
        `select expires_at <= now() + interval '1 day' as bounded from sessions
         where user_id = $1 and replaced_at is null`,
        [person.id],
      )
      expect(rows).toEqual([{ bounded: true }])
      await sql('update sessions set absolute_expires_at = now() where user_id = $1', [person.id])
      expectProblem(await refresh(next.refreshToken), WRONG)
    })

    test('that has ended leaves no row after the next login', async () => {
      const person = await join()
      const [gone, idle, live] = [await enter(person), await enter(person), await enter(person)]
      await post('logout', { refreshToken: gone.refreshToken })
      const id = Buffer.from(idle.refreshToken.slice(4, 47), 'base64url').subarray(16).toString('hex')
      await sql('update sessions set expires_at = now() where id = $1', [id])
      await enter(person)
      expect(await sql('select count(*)::int as n from sessions where user_id = $1', [person.id])).toEqual([
        { n: 2 },
      ])
      expect((await refresh(live.refreshToken)).status).toBe(200)
    })
  })

  test('a login that runs while the password is replaced leaves no session', async () => {
    for (let round = 0; round < 6; round++) {
      const person = await join()
      const path = `/tenants/${fixture[placement].id}/users/${person.id}`
      const earlier = await enter(person)
      const logins = Array.from({ length: 6 }, () => logIn(fixture[placement], nameOf(person)))
      const refreshed = refresh(earlier.refreshToken)
      const reset = await gateway.operator('PATCH', path, { password: 'from now on another password' })
      expect(reset.status).toBe(200)
      for (const { status, body } of await Promise.all([...logins, refreshed])) {
        expect([200, 401]).toContain(status)
        if (status !== 200) continue
        expectProblem(await refresh(body.refreshToken), WRONG)
        expectProblem(await me(body.accessToken), VOID)
      }
    }
  })

  test('a refresh waits for a request that ends the sessions of its user, and is then refused', async () => {
    const person = await join()
    const { refreshToken } = await enter(person)
    const database = superuserUrl(new URL(fixture.urls[placement]).pathname.slice(1))
    await withClient(database, async (ender) => {
      await ender.query('begin')
      await ender.query('update users set generation = generation + 1 where id = $1', [person.id])
      const late = refresh(refreshToken)
      const waiting = `select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
      await expect.poll(async () => (await sql(waiting)).length).toBe(1)
      await ender.query('update sessions set revoked_at = now() where user_id = $1', [person.id])
      await ender.query('commit')
      expectProblem(await late, WRONG)
    })
    expect(
      await sql('select 1 from sessions where user_id = $1 and revoked_at is null', [person.id]),
    ).toEqual([])
  })

  test('refresh and logout refuse a refresh token with the code of another tenant, and the token stays valid', async () => {
    const { refreshToken } = await enter(await join())
    const send = (path: string, code: string, token = refreshToken) =>
      gateway.call('POST', `${API}/auth/${path}`, {
        headers: { 'x-tenant-code': code },
        body: { refreshToken: token },
      })
    const { code } = fixture.other
    for (const path of ['refresh', 'logout']) {
      expectProblem(await send(path, code), { status: 400, code: 'TENANT_AMBIGUOUS' })
      expectProblem(await send(path, 'no-such-tenant'), { status: 400, code: 'TENANT_AMBIGUOUS' })
    }
    // Without the token, a caller does not learn whether code and id belong together.
    const forged = `${refreshToken.slice(0, 48)}${'A'.repeat(43)}`
    for (const each of [code, fixture[placement].code]) {
      expectProblem(await send('refresh', each, forged), WRONG)
      expect((await send('logout', each, forged)).status).toBe(204)
    }
    const next = await send('refresh', fixture[placement].code)
    expect(next.status, next.text).toBe(200)
    expect(
      (await send('logout', ` ${fixture[placement].code.toUpperCase()} `, next.body.refreshToken)).status,
    ).toBe(204)
    expectProblem(await refresh(next.body.refreshToken), WRONG)
  })

  describe('POST /auth/logout', () => {
    test('ends one session; with everywhere it ends all sessions and the issued access tokens', async () => {
      const person = await join()
      const [here, there, third] = [await enter(person), await enter(person), await enter(person)]
      expect((await post('logout', { refreshToken: here.refreshToken, everywhere: false })).status).toBe(204)
      expectProblem(await refresh(here.refreshToken), WRONG)
      expect((await me(here.accessToken)).status).toBe(200)
      const { body: next } = await refresh(there.refreshToken)
      const gone = await post('logout', { refreshToken: next.refreshToken, everywhere: true })
      expect([gone.status, gone.text]).toEqual([204, ''])
      for (const { refreshToken } of [next, third]) expectProblem(await refresh(refreshToken), WRONG)
      for (const { accessToken } of [here, there, next, third]) expectProblem(await me(accessToken), VOID)
      await expect.poll(async () => (await me(third.accessToken, replica)).status, NOTIFIED).toBe(401)
      expect((await me((await enter(person)).accessToken)).status).toBe(200)
      // A repetition or a malformed token is no error.
      for (const refreshToken of [third.refreshToken, 'nonsense'])
        expect((await post('logout', { refreshToken, everywhere: true })).status).toBe(204)
    })

    test('is recorded in the audit log, once for one session and once for all', async () => {
      const person = await join()
      const [here, there] = [await enter(person), await enter(person)]
      const out = (pair: { refreshToken: string }, everywhere: boolean) =>
        post('logout', { refreshToken: pair.refreshToken, everywhere })
      for (let n = 0; n < 2; n++) expect((await out(here, false)).status).toBe(204)
      expect((await out(there, true)).status).toBe(204)
      const actions = async () => {
        const { body } = await gateway.operator('GET', `/audit-log?actor=${person.id}`)
        return body.data.map(({ action }: { action: string }) => action).toSorted()
      }
      const all = ['auth.login', 'auth.logout', 'user.logout-everywhere']
      await expect.poll(async () => [...new Set(await actions())]).toEqual(all)
      expect((await actions()).filter((action: string) => action === 'auth.logout')).toHaveLength(1)
    })

    test('refuses an invented token', async () => {
      const person = await join()
      const pair = await enter(person)
      const forged = `${pair.refreshToken.slice(0, 48)}${'A'.repeat(43)}`
      expect((await post('logout', { refreshToken: forged, everywhere: true })).status).toBe(204)
      expect((await me(pair.accessToken)).status).toBe(200)
      expect((await refresh(pair.refreshToken)).status).toBe(200)
    })
  })

  describe('POST /auth/password', () => {
    const newPassword = 'a quite different password'
    const change = (token: string, body: object) => as(gateway, token)('POST', '/auth/password', body)

    test('makes the new password valid, and ends every session', async () => {
      const person = await join()
      const [here, there] = [await enter(person), await enter(person)]
      const { status, text } = await change(here.accessToken, {
        currentPassword: person.password,
        newPassword,
      })
      expect([status, text]).toEqual([204, ''])
      for (const { accessToken, refreshToken } of [here, there]) {
        expectProblem(await me(accessToken), VOID)
        expectProblem(await refresh(refreshToken), WRONG)
      }
      expectProblem(await logIn(fixture[placement], nameOf(person)), WRONG)
      expect((await logIn(fixture[placement], { ...nameOf(person), password: newPassword })).status).toBe(200)
    })

    test('accepts one of two concurrent changes', async () => {
      const person = await join()
      const { accessToken } = await enter(person)
      const wanted = ['the first new password', 'the second new password']
      const body = (newPassword: string) => ({ currentPassword: person.password, newPassword })
      const answers = await Promise.all(wanted.map((each) => change(accessToken, body(each))))
      expect(
        count(
          answers.map(({ status }) => status),
          204,
        ),
      ).toBe(1)
      const won = wanted[answers.findIndex(({ status }) => status === 204)]
      expect((await logIn(fixture[placement], { ...nameOf(person), password: won })).status).toBe(200)
    })

    test('needs the current password, and counts wrong ones as a login does', async () => {
      const person = await join()
      const { accessToken } = await enter(person)
      for (let n = 0; n < 10; n++)
        expectProblem(await change(accessToken, { currentPassword: 'wrong', newPassword }), WRONG)
      expectProblem(await change(accessToken, { currentPassword: person.password, newPassword }), LOCKED)
      expectProblem(await logIn(fixture[placement], nameOf(person)), LOCKED)
      expect((await me(accessToken)).status).toBe(200)
    })

    test.each([
      [{}, ['/currentPassword', '/newPassword']],
      [{ currentPassword: 'x', newPassword: 'short' }, ['/newPassword']],
      [{ currentPassword: 'x', newPassword: 'x'.repeat(1025) }, ['/newPassword']],
      [{ currentPassword: 'x', newPassword, userId: 'x' }, ['/userId']],
    ])('400: %j', async (body, pointers) => {
      const answer = await change(fixture[placement].token, body)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
    })

    test('is for users, and not for client keys', async () => {
      const key = { name: 'program', permissions: ['*'] }
      const { body } = await gateway.operator('POST', `/tenants/${fixture[placement].id}/client-keys`, key)
      const headers = { 'x-client-key': body.key, 'x-tenant-code': fixture[placement].code }
      const passwords = { currentPassword: 'x', newPassword }
      const answer = await gateway.call('POST', `${API}/auth/password`, { headers, body: passwords })
      expectProblem(answer, { status: 403, code: 'PERMISSION_DENIED' })
    })
  })

  describe('wrong passwords', () => {
    const configure = (lockout: object) =>
      gateway.operator('PATCH', `/tenants/${fixture[placement].id}`, { authConfig: { lockout } })
    const policy = async (lockout: { attempts: number; windowSeconds: number }) => {
      await configure(lockout)
      const known = async () =>
        (await replica.call('GET', `${API}/tenant`, { token: fixture[placement].token })).body
      await expect.poll(async () => (await known()).authConfig.lockout, NOTIFIED).toEqual(lockout)
    }
    afterAll(() => configure({ attempts: 10, windowSeconds: 900 }))

    test('sent at once are tried no more often than the policy allows, on all replicas together', async () => {
      await policy({ attempts: 3, windowSeconds: 900 })
      const [{ email }, unknown] = [await join(), 'nobody@nowhere.example']
      for (const name of [email, unknown]) {
        const tries = Array.from({ length: 16 }, (_, n) =>
          logIn(fixture[placement], { email: name, password: `wrong ${n}` }, n % 2 === 0 ? gateway : replica),
        )
        const statuses = (await Promise.all(tries)).map(({ status }) => status)
        expect([count(statuses, 401), count(statuses, 403)]).toEqual([3, 13])
        for (const from of [gateway, replica]) {
          const right = { email: name.toUpperCase(), password: PASSWORD }
          const answer = await logIn(fixture[placement], right, from)
          expectProblem(answer, LOCKED)
          const seconds = Number(answer.headers.get('retry-after'))
          expect(seconds).toBeGreaterThan(800)
          expect(seconds).toBeLessThanOrEqual(900)
        }
      }
    })

    test('are forgotten after the right password, and after the window', async () => {
      await policy({ attempts: 2, windowSeconds: 2 })
      const person = nameOf(await join())
      const wrong = () => logIn(fixture[placement], { ...person, password: 'wrong' })
      for (let n = 0; n < 3; n++) {
        expectProblem(await wrong(), WRONG)
        expect((await logIn(fixture[placement], person)).status).toBe(200)
      }
      for (let n = 0; n < 2; n++) await wrong()
      await expect.poll(async () => (await logIn(fixture[placement], person)).status).toBe(200)
    })

    test('for unknown names store no name, and their rows are removed soon after the window', async () => {
      await policy({ attempts: 5, windowSeconds: 1 })
      const emailOf = (name: string) => `${name}@nowhere.example`
      const guess = (name: string) => logIn(fixture[placement], { email: emailOf(name), password: 'x' })
      const names = Array.from({ length: 10 }, (_, n) => `guess${n}`)
      for (const name of names) await guess(name)
      const subjects = names.map((name) => createHash('sha256').update(emailOf(name)).digest('hex'))
      const rows = () =>
        sql('select * from login_attempts where tenant_id = $1 and subject = any ($2)', [
          fixture[placement].id,
          subjects,
        ])
      expect((await rows()).length).toBeGreaterThan(0)
      expect(JSON.stringify(await rows())).not.toContain('guess')
      let n = 0
      const left = async () => {
        await guess(`later${n++}`)
        return (await rows()).length
      }
      await expect.poll(left).toBe(0)
    })
  })

  test('a weaker hash is replaced when its user signs in', async () => {
    const person = await join()
    const weak = await argonHash(person.password, { memoryCost: 8_192, timeCost: 1, parallelism: 1 })
    await sql('update users set password_hash = $2 where id = $1', [person.id, weak])
    const stored = async () => {
      const [row] = await sql('select password_hash as hash, generation from users where id = $1', [
        person.id,
      ])
      return row
    }
    expectProblem(await logIn(fixture[placement], { ...nameOf(person), password: 'wrong' }), WRONG)
    expect(await stored()).toEqual({ hash: weak, generation: 0 })
    const { accessToken } = await enter(person)
    const now = await stored()
    expect(now).toMatchObject({
      hash: expect.stringMatching(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/),
      generation: 0,
    })
    expect((await me(accessToken)).status).toBe(200)
    await enter(person)
    expect(await stored()).toEqual(now)
  })

  // Repeated, because a busy machine is not even. A missing hash shows in every round.
  test('an unknown user, an inactive one and a wrong password take the same time', { retry: 2 }, async () => {
    await gateway.operator('PATCH', `/tenants/${fixture[placement].id}`, {
      authConfig: { lockout: { attempts: 1000 } },
    })
    const [known, inactive] = [await join(), await join()]
    await gateway.operator('PATCH', `/tenants/${fixture[placement].id}/users/${inactive.id}`, {
      status: 'INACTIVE',
    })
    const names = [known.email, 'nobody@nowhere.example', inactive.email]
    const times: number[][] = names.map(() => [])
    for (let round = 0; round < 41; round++) {
      for (const i of [0, 1, 2].map((n) => (n + round) % 3)) {
        const email = names[i]
        const begun = performance.now()
        const { status } = await logIn(fixture[placement], { email, password: 'wrong horse battery' })
        // The first round opens connections and prepares statements.
        if (round > 0) times[i]?.push(performance.now() - begun)
        expect(status).toBe(401)
      }
    }
    const [wrong = 0, ...others] = times.map(median)
    for (const other of others) {
      // Without a hash an answer takes a few milliseconds, with one about twenty.
      expect(Math.abs(other - wrong), `medians ${others} against ${wrong} ms`).toBeLessThan(
        Math.max(5, wrong / 3),
      )
    }
  })

  test('a flood of logins is refused at once, and other requests are served meanwhile', async () => {
    const token = fixture.other.token
    const flood = Array.from({ length: 300 }, (_, n) =>
      logIn(fixture[placement], { email: `flood${n}@nowhere.example`, password: 'wrong horse battery' }),
    )
    const times: number[] = []
    for (let n = 0; n < 20; n++) {
      const begun = performance.now()
      const answer = await gateway.call('GET', `${API}/places`, {
        token: n % 2 === 0 ? token : fixture[placement].token,
      })
      times.push(performance.now() - begun)
      expect(answer.status, answer.text).toBe(200)
    }
    // Users of another tenant can sign in: a flood at one tenant does not take all slots.
    expect((await logIn(fixture.other, fixture.other.admin)).status).toBe(200)
    const answers = await Promise.all(flood)
    const statuses = answers.map(({ status }) => status)
    expect(count(statuses, 401) + count(statuses, 429)).toBe(300)
    expect(count(statuses, 429)).toBeGreaterThan(0)
    const refused = answers.find(({ status }) => status === 429)
    expect(Number(refused?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(median(times)).toBeLessThan(1_000)
  })
})

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
