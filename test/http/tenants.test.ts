import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { API, expectProblem, UNKNOWN_ID } from './support.ts'

let stage: Stage
let gateway: TestGateway
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const DEFAULTS = {
  passwordPolicy: { minLength: 12, requireMixed: false },
  accessTokenSeconds: 900,
  refreshTokenSeconds: 2_592_000,
  refreshReuseSeconds: 10,
  lockout: { attempts: 10, windowSeconds: 900 },
}
const ADMIN = { email: 'admin@tenant.example', password: 'correct horse battery staple' }
const MOMENT = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$/)
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }

const newCode = () => `t-${randomBytes(6).toString('hex')}`
const post = (body: unknown) => gateway.operator('POST', '/tenants', body)
const get = (id: string) => gateway.operator('GET', `/tenants/${id}`)
const patch = (id: string, body: unknown) => gateway.operator('PATCH', `/tenants/${id}`, body)
const signIn = (tenantCode: string, password = ADMIN.password) =>
  gateway.call('POST', `${API}/auth/login`, { body: { tenantCode, email: ADMIN.email, password } })

async function made(more: object = {}): Promise<{ id: string; code: string }> {
  const answer = await post({ code: newCode(), name: 'Made', ...more })
  expect(answer.status, answer.text).toBe(201)
  return answer.body
}

/** Reads the catalog itself, because a refused request must leave nothing there. */
async function known(code: string): Promise<boolean> {
  const rows = await query(stage.catalogUrl, 'SELECT 1 FROM tenants WHERE code = $1', [code])
  return rows.length > 0
}

describe('a name', () => {
  test.each([' ', '\u0007', 'line\nbreak'])('cannot be %j, in a new tenant or in a change', async (name) => {
    const problem = { ...INVALID, pointers: ['/name'] }
    expectProblem(await post({ code: newCode(), name }), problem)
    const { id } = await made()
    expectProblem(await patch(id, { name }), problem)
  })
})

describe('POST /tenants', () => {
  describe('201', () => {
    test('a tenant has exactly these fields, and is found at its Location', async () => {
      const code = newCode()
      const { status, body, headers } = await post({ code, name: 'Añejo & Söhne' })
      expect(status).toBe(201)
      expect(body).toEqual({
        ...{ id: expect.stringMatching(/^[0-9a-f-]{36}$/), code, name: 'Añejo & Söhne', externalIds: [] },
        ...{ status: 'ACTIVE', parentId: null, placement: 'shared', database: null },
        ...{ authConfig: DEFAULTS, createdAt: MOMENT, updatedAt: MOMENT },
      })
      expect(headers.get('location')).toBe(`${API}/tenants/${body.id}`)
      expect((await gateway.operator('GET', `/tenants/${body.id}`)).body).toEqual(body)
    })

    test('its administrator can sign in at once, and has every permission', async () => {
      const code = newCode()
      const answer = await post({ code, name: 'x', admin: { ...ADMIN, name: 'Ada' } })
      expect(answer.status).toBe(201)
      expect(answer.text).not.toContain(ADMIN.password)
      const { body } = await signIn(code)
      const me = await gateway.call('GET', `${API}/auth/me`, { token: body.accessToken })
      expect(me.body).toMatchObject({ user: { name: 'Ada', roles: ['admin'] }, permissions: ['*'] })
    })

    test('any part of authConfig may be given, and the other parts keep their defaults', async () => {
      const { id } = await made({ authConfig: { accessTokenSeconds: 60, lockout: { attempts: 3 } } })
      expect((await get(id)).body.authConfig).toEqual({
        ...DEFAULTS,
        accessTokenSeconds: 60,
        lockout: { attempts: 3, windowSeconds: 900 },
      })
    })

    test('it may have a parent, which then lists it as a child', async () => {
      const parent = await gateway.createTenant()
      const child = await made({ parentId: parent.id.toUpperCase() })
      expect((await get(child.id)).body.parentId).toBe(parent.id)
      const { body } = await gateway.call('GET', `${API}/tenant`, { token: parent.token })
      expect(body.children).toEqual([{ id: child.id, code: child.code, name: 'Made', status: 'ACTIVE' }])
    })

    test.each([2, 63])('a code of %d characters', async (length) => {
      const code = randomBytes(32).toString('hex').slice(0, length)
      expect((await post({ code, name: 'x' })).status).toBe(201)
    })
  })

  describe('400', () => {
    test.each(['a', '-ab', 'ab-', 'a_b', 'a b', 'Ab', 'äb', 'ab\n', 'a'.repeat(64), '', 7, null])(
      'the code %j',
      async (code) => {
        expectProblem(await post({ code, name: 'x' }), { ...INVALID, pointers: ['/code'] })
      },
    )

    test.each([
      [{ name: undefined }, ['/name']],
      [{ name: '' }, ['/name']],
      [{ name: 'x'.repeat(201) }, ['/name']],
      [{ parentId: 'acme' }, ['/parentId']],
      [{ id: UNKNOWN_ID }, ['/id']],
      [{ status: 'INACTIVE' }, ['/status']],
      [{ placement: 'dedicated' }, ['/placement']],
      [{ authConfig: { sso: true } }, ['/authConfig/sso']],
      [{ authConfig: { accessTokenSeconds: 29 } }, ['/authConfig/accessTokenSeconds']],
      [{ authConfig: { refreshTokenSeconds: '60' } }, ['/authConfig/refreshTokenSeconds']],
      [{ authConfig: { passwordPolicy: { minLength: 7 } } }, ['/authConfig/passwordPolicy/minLength']],
      [{ authConfig: { lockout: { attempts: 0 } } }, ['/authConfig/lockout/attempts']],
      [{ admin: {} }, ['/admin/email', '/admin/password']],
      [{ admin: { ...ADMIN, email: 'nobody' } }, ['/admin/email']],
      [{ admin: { ...ADMIN, password: 'too short' } }, ['/admin/password']],
      [{ admin: { ...ADMIN, roles: ['admin'] } }, ['/admin/roles']],
      [{ admin: ADMIN, authConfig: { passwordPolicy: { requireMixed: true } } }, ['/admin/password']],
    ])('%j', async (more, pointers) => {
      const code = newCode()
      expectProblem(await post({ code, name: 'x', ...more }), { ...INVALID, pointers })
      expect(await known(code)).toBe(false)
    })
  })

  describe('404', () => {
    test('an unknown parent', async () => {
      const code = newCode()
      expectProblem(await post({ code, name: 'x', parentId: UNKNOWN_ID, admin: ADMIN }), {
        ...{ status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/parentId'] },
      })
      expect(await known(code)).toBe(false)
      // The tenant has no residence in the shared database either.
      const count = 'SELECT count(*)::int AS n FROM'
      const stamps = await query(stage.sharedUrl, `${count} residence`)
      expect(stamps).toEqual(await query(stage.catalogUrl, `${count} tenants`))
    })
  })

  describe('409', () => {
    const TAKEN = { status: 409, code: 'TENANT_CODE_TAKEN' }

    test('a code that is taken, also by an INACTIVE tenant: it is unique for ever', async () => {
      const { id, code } = await made()
      expectProblem(await post({ code, name: 'x' }), TAKEN)
      await patch(id, { status: 'INACTIVE' })
      expectProblem(await post({ code, name: 'x', admin: ADMIN }), TAKEN)
    })

    test('of many requests with one code, one creates a tenant', async () => {
      const code = newCode()
      const answers = await Promise.all(
        Array.from({ length: 6 }, () => post({ code, name: 'x', admin: ADMIN })),
      )
      expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409, 409])
      for (const answer of answers) if (answer.status !== 201) expectProblem(answer, TAKEN)
      expect((await signIn(code)).status).toBe(200)
    })
  })
})

describe('GET /tenants/{id}', () => {
  test('200: also for an id in capitals, and for an INACTIVE tenant', async () => {
    const { id } = await made()
    await patch(id, { status: 'INACTIVE' })
    expect((await get(id.toUpperCase())).body).toMatchObject({ id, status: 'INACTIVE' })
  })

  test('404: an unknown id, and a malformed one', async () => {
    const { code } = await made()
    for (const id of [UNKNOWN_ID, 'x', code, '%20', `${UNKNOWN_ID}0`])
      expectProblem(await get(id), { status: 404, code: 'TENANT_NOT_FOUND' })
  })
})

describe('PATCH /tenants/{id}', () => {
  describe('200', () => {
    test('changes the given fields and no others', async () => {
      const { id } = await made()
      const { body: before } = await get(id)
      const { status, body } = await patch(id, { name: 'Renamed' })
      expect(status).toBe(200)
      expect(body).toEqual({ ...before, name: 'Renamed', updatedAt: MOMENT })
      expect(body.updatedAt > before.updatedAt).toBe(true)
      expect((await get(id)).body).toEqual(body)
    })

    test('an empty change changes nothing', async () => {
      const { id } = await made()
      const { body: before } = await get(id)
      for (const nothing of [{}, { name: before.name }, { authConfig: {} }, { authConfig: DEFAULTS }])
        expect((await patch(id, nothing)).body).toEqual(before)
    })

    test('merges parts of authConfig, and the next login uses them', async () => {
      const { id, code } = await made({ admin: ADMIN })
      await patch(id, { authConfig: { lockout: { windowSeconds: 60 } } })
      const { body } = await patch(id, { authConfig: { accessTokenSeconds: 120 } })
      expect(body.authConfig).toEqual({
        ...DEFAULTS,
        accessTokenSeconds: 120,
        lockout: { attempts: 10, windowSeconds: 60 },
      })
      expect((await signIn(code)).body.expiresIn).toBe(120)
      await patch(id, { authConfig: { passwordPolicy: { minLength: 40 } } })
      const weak = await gateway.operator('POST', `/tenants/${id}/users`, { ...ADMIN, email: 'b@c.example' })
      expectProblem(weak, { ...INVALID, pointers: ['/password'] })
      // A password that followed the policy when it was chosen stays valid.
      expect((await signIn(code)).status).toBe(200)
    })

    test('may have the content type of a merge patch', async () => {
      const { id } = await made()
      const answer = await gateway.call('PATCH', `${API}/tenants/${id}`, {
        token: stage.operatorToken,
        headers: { 'content-type': 'application/merge-patch+json' },
        body: { name: 'Merged' },
      })
      expect([answer.status, answer.body.name]).toEqual([200, 'Merged'])
    })
  })

  describe('400', () => {
    test.each([
      [{ code: 'another' }, ['/code']],
      [{ name: null }, ['/name']],
      [{ status: 'DELETED' }, ['/status']],
      [{ status: null }, ['/status']],
      [{ parentId: '' }, ['/parentId']],
      [{ placement: 'dedicated' }, ['/placement']],
      [{ database: null }, ['/database']],
      [{ authConfig: null }, ['/authConfig']],
      [{ authConfig: { refreshTokenSeconds: 31_536_001 } }, ['/authConfig/refreshTokenSeconds']],
      [{ authConfig: { refreshReuseSeconds: 61 } }, ['/authConfig/refreshReuseSeconds']],
      [{ authConfig: { refreshReuseSeconds: -1 } }, ['/authConfig/refreshReuseSeconds']],
      [{ name: 'x', admin: ADMIN }, ['/admin']],
    ])('%j', async (body, pointers) => {
      const { id } = await made()
      const { body: before } = await get(id)
      expectProblem(await patch(id, body), { ...INVALID, pointers })
      expect((await get(id)).body).toEqual(before)
    })
  })

  describe('404', () => {
    test('an unknown tenant, and an unknown parent', async () => {
      expectProblem(await patch(UNKNOWN_ID, { name: 'x' }), { status: 404, code: 'TENANT_NOT_FOUND' })
      expectProblem(await patch('x', { name: 'x' }), { status: 404, code: 'TENANT_NOT_FOUND' })
      const { id } = await made()
      expectProblem(await patch(id, { parentId: UNKNOWN_ID }), {
        ...{ status: 404, code: 'REFERENCE_NOT_FOUND', pointers: ['/parentId'] },
      })
    })
  })
})
