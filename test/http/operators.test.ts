import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { readPages } from './pages.ts'
import { API, expectProblem, telling, UNKNOWN_ID } from './support.ts'

let stage: Stage
let gateway: TestGateway
let replica: TestGateway
let tenant: TestTenant
beforeAll(async () => {
  stage = await createStage()
  gateway = await startGateway(stage)
  replica = await startGateway(stage)
  tenant = await gateway.createTenant()
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await dropAll()
})

const NEW = { name: 'Night watch', role: 'admin' }
const SECRET_LENGTH = 43
const DEAD = { status: 401, code: 'INVALID_CREDENTIALS' }
const READ_ONLY = { status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' }

async function make(body: object = NEW) {
  const answer = await gateway.operator('POST', '/operators', body)
  expect(answer.status, answer.text).toBe(201)
  return answer.body as { id: string; token: string; prefix: string; createdAt: string }
}
const use = (token: string, at: TestGateway = gateway) => at.call('GET', `${API}/tenants`, { token })

/** Every path of operators, with a valid body. */
const READS = (): string[] => [
  '/tenants',
  `/tenants/${tenant.id}`,
  `/tenants/${tenant.id}/users`,
  `/tenants/${tenant.id}/client-keys`,
  '/operators',
  '/encryption',
  '/servers',
]
const WRITES = (): [string, string, unknown][] => [
  ['POST', '/tenants', { code: 'made-by-nobody', name: 'x' }],
  ['PATCH', `/tenants/${tenant.id}`, { name: 'changed by nobody' }],
  ['PUT', `/tenants/${tenant.id}/database`, { connectionString: 'postgresql://u:p@10.1.2.3/d' }],
  ['POST', `/tenants/${tenant.id}/database/validate`, undefined],
  ['DELETE', `/tenants/${tenant.id}/database`, undefined],
  ['POST', `/tenants/${tenant.id}/users`, { email: 'a@b.example', password: 'a long enough password' }],
  ['POST', `/tenants/${tenant.id}/client-keys`, { name: 'x', permissions: ['*'] }],
  ['DELETE', `/tenants/${tenant.id}/client-keys/${UNKNOWN_ID}`, undefined],
  ['POST', '/operators', NEW],
  ['DELETE', `/operators/${UNKNOWN_ID}`, undefined],
  ['POST', '/encryption/rotate', undefined],
  ['POST', '/servers', { name: 'x', connectionString: 'postgresql://u:p@10.1.2.3/d' }],
  ['PATCH', `/servers/${UNKNOWN_ID}`, { capacity: 1 }],
  ['DELETE', `/servers/${UNKNOWN_ID}`, undefined],
]

describe('POST /operators', () => {
  describe('201', () => {
    test('an operator has exactly these fields, and a token with the rights of its role', async () => {
      const made = await make()
      expect(made).toEqual({
        ...NEW,
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        prefix: made.token.slice(0, made.prefix.length),
        token: expect.stringMatching(/^fho_[0-9A-Za-z]{12}_[0-9A-Za-z]{43}$/),
        createdAt: expect.stringMatching(/Z$/),
      })
      expect(made.prefix.length).toBeLessThan(made.token.length - SECRET_LENGTH)
      expect((await use(made.token)).status).toBe(200)
      // A replica that did not create the operator knows it too.
      expect((await use(made.token, replica)).status).toBe(200)
    })

    test('the token is shown once, and is not in the log or in clear in the catalog', async () => {
      const { token } = await make()
      const secret = token.slice(-SECRET_LENGTH)
      expect((await use(token)).status).toBe(200)
      for (const path of ['/operators?limit=200', '/audit-log?limit=200'])
        expect((await gateway.operator('GET', path)).text).not.toContain(secret)
      expect(gateway.log()).not.toContain(secret)
      const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
      const rows = await query(
        catalog,
        'SELECT o::text FROM operators o UNION ALL SELECT a::text FROM audit_log a',
      )
      expect(JSON.stringify(rows)).toContain(token.slice(0, 12))
      expect(JSON.stringify(rows)).not.toContain(secret)
    })

    test('an admin created by an admin can create the next', async () => {
      const { token } = await make()
      const next = await gateway.call('POST', `${API}/operators`, { token, body: NEW })
      expect(next.status).toBe(201)
      expect((await use(next.body.token)).status).toBe(200)
    })
  })

  describe('400', () => {
    test.each([
      [{}, ['/name', '/role']],
      [{ ...NEW, name: '' }, ['/name']],
      [{ ...NEW, name: ' ' }, ['/name']],
      [{ ...NEW, name: 'a\nb' }, ['/name']],
      [{ ...NEW, name: 'x'.repeat(201) }, ['/name']],
      [{ ...NEW, name: 7 }, ['/name']],
      [{ ...NEW, role: 'root' }, ['/role']],
      [{ ...NEW, role: null }, ['/role']],
      [{ ...NEW, token: 'fho_mine' }, ['/token']],
      [{ ...NEW, tenantId: UNKNOWN_ID }, ['/tenantId']],
    ])('%j', async (body, pointers) => {
      const answer = await gateway.operator('POST', '/operators', body)
      expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers })
    })
  })
})

describe('GET /operators', () => {
  test('200: lists operators that are not revoked, in pages, oldest first, and never the bootstrap token', async () => {
    const made = [await make(), await make({ name: 'Auditor', role: 'viewer' }), await make()]
    const gone = await make()
    await gateway.operator('DELETE', `/operators/${gone.id}`)
    const rows = await readPages(gateway, '/operators', { token: stage.operatorToken, query: 'limit=2' })
    const ids = rows.map(({ id }) => id)
    expect(ids).toEqual(ids.toSorted())
    expect(ids).toEqual(expect.arrayContaining(made.map(({ id }) => id)))
    expect(ids).not.toContain(gone.id)
    expect(ids).not.toContain('bootstrap')
    const { id, prefix, createdAt } = made[1] as (typeof made)[0]
    expect(rows.find((row) => row.id === id)).toEqual({
      ...{ id, name: 'Auditor', role: 'viewer', prefix, createdAt },
    })
  })

  test.each(['limit=0', 'limit=201', 'limit=x', 'role=admin', 'cursor='])('400: ?%s', async (asked) => {
    expectProblem(await gateway.operator('GET', `/operators?${asked}`), {
      status: 400,
      code: 'VALIDATION_FAILED',
    })
  })

  test.each(['x', UNKNOWN_ID])('400: the invalid cursor %s', async (cursor) => {
    const answer = await gateway.operator('GET', `/operators?cursor=${cursor}`)
    expectProblem(answer, { status: 400, code: 'INVALID_CURSOR' })
  })
})

describe('DELETE /operators/{id}', () => {
  test('204: the token gives no access from that answer on, and soon on no replica', async () => {
    const { id, token } = await make()
    for (const at of [gateway, replica]) expect((await use(token, at)).status).toBe(200)
    const deleted = await gateway.operator('DELETE', `/operators/${id}`)
    expect([deleted.status, deleted.text]).toEqual([204, ''])
    expectProblem(await use(token), DEAD)
    await expect.poll(async () => (await use(token, replica)).status).toBe(401)
  })

  test('204: also for the caller itself', async () => {
    const { id, token } = await make()
    expect((await gateway.call('DELETE', `${API}/operators/${id}`, { token })).status).toBe(204)
    expectProblem(await use(token), DEAD)
  })

  test('404: a revoked operator, an unknown one, a malformed id, and the bootstrap token', async () => {
    const { id } = await make()
    await gateway.operator('DELETE', `/operators/${id}`)
    const remove = (which: string) => gateway.operator('DELETE', `/operators/${which}`)
    for (const which of [id, UNKNOWN_ID, 'x', 'bootstrap'])
      expectProblem(await remove(which), { status: 404, code: 'NOT_FOUND' })
    expect(telling(await remove(id))).toEqual(telling(await remove(UNKNOWN_ID)))
  })
})

describe('a viewer', () => {
  let token: string
  beforeAll(async () => {
    token = (await make({ name: 'Auditor', role: 'viewer' })).token
  })

  test('200: reads everything that operators may read', async () => {
    for (const path of [...READS(), '/audit-log']) {
      const answer = await gateway.call('GET', `${API}${path}`, { token })
      expect(answer.status, `${path} ${answer.text}`).toBe(200)
    }
  })

  test('403: changes nothing, and is refused before its body is read', async () => {
    for (const [method, path, body] of WRITES()) {
      for (const sent of [body, '{"broken']) {
        const answer = await gateway.call(method, `${API}${path}`, { token, body: sent })
        expectProblem(answer, READ_ONLY)
      }
    }
    expect((await gateway.operator('GET', `/tenants/${tenant.id}`)).body.name).toBe(`Tenant ${tenant.code}`)
    expect((await gateway.operator('GET', '/tenants?q=made-by-nobody')).body.data).toEqual([])
  })
})

describe("a tenant's credentials", () => {
  test('403: give no access to paths of operators, with any permission in their tenant', async () => {
    const made = await gateway.operator('POST', `/tenants/${tenant.id}/client-keys`, {
      name: 'all',
      permissions: ['*'],
    })
    const key = { 'x-client-key': made.body.key, 'x-tenant-code': tenant.code }
    const calls: [string, string, unknown][] = [
      ...READS().map((path): [string, string, unknown] => ['GET', path, undefined]),
      ...WRITES(),
    ]
    for (const [method, path, body] of calls) {
      for (const credential of [{ token: tenant.token }, { headers: key }]) {
        const answer = await gateway.call(method, `${API}${path}`, { ...credential, body })
        expectProblem(answer, { status: 403, code: 'OPERATOR_REQUIRED' })
      }
    }
  })
})

describe("an operator's token", () => {
  test('403: gives no access to paths of tenants', async () => {
    const { token } = await make()
    for (const path of ['/places', '/users', '/client-keys', '/tenant', '/auth/me']) {
      for (const shown of [token, stage.operatorToken])
        expectProblem(await gateway.call('GET', `${API}${path}`, { token: shown }), {
          status: 403,
          code: 'PERMISSION_DENIED',
        })
    }
  })

  test('401: a wrong secret, an unknown token and a malformed one get the same answer', async () => {
    const { token } = await make()
    const other = token.endsWith('A') ? 'B' : 'A'
    const forged = [
      `${token.slice(0, -1)}${other}`,
      `fho_${'0'.repeat(12)}_${'0'.repeat(SECRET_LENGTH)}`,
      'fho_',
      `${token}x`,
    ]
    const answers = await Promise.all(forged.map((text) => use(text)))
    for (const answer of answers) {
      expectProblem(answer, DEAD)
      expect(telling(answer)).toEqual(telling(answers[0] ?? answer))
    }
  })

  test('401: a missing token', async () => {
    for (const path of [...READS(), '/audit-log'])
      expectProblem(await gateway.call('GET', `${API}${path}`), { status: 401, code: 'UNAUTHENTICATED' })
  })
})
