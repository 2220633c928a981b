import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll } from '../support/database.ts'
import { createStage, startGateway, type TestGateway } from '../support/gateway.ts'
import { KeyServer } from '../support/key-server.ts'
import { API, expectProblem, NOTIFIED, UNKNOWN_ID } from './support.ts'

const ISSUER = 'https://login.example/'
const OTHER = 'https://other.example/'

let keys: KeyServer
let gateway: TestGateway
/** Another gateway of the same catalog. */
let replica: TestGateway
beforeAll(async () => {
  keys = await KeyServer.start()
  await keys.addKey('key-1')
  const entry = { issuer: ISSUER, jwksUri: keys.jwksUri, audience: 'freehold', tenantClaim: 'org_id' }
  const issuers = [
    { ...entry, tenantBy: 'externalId', rolesClaim: 'roles' },
    { ...entry, issuer: OTHER, tenantBy: 'externalId' },
  ]
  const stage = await createStage()
  gateway = await startGateway(stage, { TRUSTED_ISSUERS: JSON.stringify(issuers) })
  replica = await startGateway(stage, { TRUSTED_ISSUERS: JSON.stringify(issuers) })
})
afterAll(async () => {
  await replica?.close()
  await gateway?.close()
  await keys?.close()
  await dropAll()
})

const codeOf = () => `ext-${randomBytes(5).toString('hex')}`
const listed = (id: string, issuer = ISSUER) => ({ issuer, id })

async function make(externalIds: object[], more: object = {}) {
  const code = codeOf()
  const { status, body, text } = await gateway.operator('POST', '/tenants', {
    ...{ code, name: code, externalIds, ...more },
  })
  expect(status, text).toBe(201)
  return body as { id: string; code: string; externalIds: object[] }
}

const patch = (id: string, body: object) => gateway.operator('PATCH', `/tenants/${id}`, body)
const now = () => Math.floor(Date.now() / 1000)
const print = (orgId: string, claims: object = {}) =>
  keys.sign(
    { iss: ISSUER, aud: 'freehold', sub: 'anna', org_id: orgId, iat: now(), exp: now() + 600, ...claims },
    { kid: 'key-1' },
  )
const me = (token: string, at = gateway) => at.call('GET', `${API}/auth/me`, { token })
const TAKEN = { status: 409, code: 'EXTERNAL_ID_TAKEN' }
const TENANT_NOT_FOUND = { status: 404, code: 'TENANT_NOT_FOUND' }

describe('external ids of a tenant', () => {
  test('are set when it is created, shown in one order, and replaced as a whole', async () => {
    const tenant = await make([listed('org_b1'), listed('org_a1'), listed('org_a1', OTHER)])
    const inOrder = [listed('org_a1'), listed('org_b1'), listed('org_a1', OTHER)]
    expect(tenant.externalIds).toEqual(inOrder)
    const found = await gateway.operator('GET', `/tenants/${tenant.id}`)
    expect(found.body.externalIds).toEqual(inOrder)
    const list = await gateway.operator('GET', `/tenants?q=${tenant.code}`)
    expect(list.body.data[0].externalIds).toEqual(inOrder)
    const { status, body } = await patch(tenant.id, { externalIds: [listed('org_c1')] })
    expect([status, body.externalIds]).toEqual([200, [listed('org_c1')]])
    expect(body.effective).toEqual({ replicas: 2, confirmed: 2 })
    expect((await patch(tenant.id, { name: 'Other' })).body.externalIds).toEqual([listed('org_c1')])
    const audit = await gateway.operator('GET', `/audit-log?tenantId=${tenant.id}&action=tenant.update`)
    const changes = audit.body.data.map(({ before, after }: Record<string, object>) => ({ before, after }))
    expect(changes).toContainEqual({
      before: { externalIds: inOrder },
      after: { externalIds: [listed('org_c1')] },
    })
  })

  test('are empty by default, and can be emptied again', async () => {
    const tenant = await make([listed('org_none')])
    expect((await patch(tenant.id, { externalIds: [] })).body.externalIds).toEqual([])
    expect((await gateway.createTenant()).id).toBeDefined()
    const plain = await gateway.operator('POST', '/tenants', { code: codeOf(), name: 'Plain' })
    expect(plain.body.externalIds).toEqual([])
  })

  test('belong to one tenant only for each issuer', async () => {
    const first = await make([listed('org_one')])
    const second = await make([listed('org_two'), listed('org_one', OTHER)])
    const code = codeOf()
    const body = { code, name: code, externalIds: [listed('org_free'), listed('org_one')] }
    const refused = await gateway.operator('POST', '/tenants', body)
    expectProblem(refused, { ...TAKEN, pointers: ['/externalIds/1'] })
    // Nothing remains of the request: neither the code nor the other id is taken.
    expect(
      (await gateway.operator('POST', '/tenants', { ...body, externalIds: [listed('org_free')] })).status,
    ).toBe(201)
    const change = await patch(second.id, { externalIds: [listed('org_one')], name: 'Other' })
    expectProblem(change, { ...TAKEN, pointers: ['/externalIds/0'] })
    const { body: after } = await gateway.operator('GET', `/tenants/${second.id}`)
    expect(after).toMatchObject({ name: second.code, externalIds: second.externalIds })
    // Also while its tenant is INACTIVE, because the id returns with the tenant.
    await patch(first.id, { status: 'INACTIVE' })
    expectProblem(await patch(second.id, { externalIds: [listed('org_one')] }), TAKEN)
  })

  test('go to one of two tenants that claim them at the same time', async () => {
    const [one, two] = [await make([]), await make([])]
    const wanted = [listed('org_race_a'), listed('org_race_b')]
    const answers = await Promise.all([
      patch(one.id, { externalIds: wanted }),
      patch(two.id, { externalIds: wanted.toReversed() }),
    ])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409])
  })

  test.each<[string, unknown, string]>([
    ['no list', 'org_1', '/externalIds'],
    ['the same twice', [listed('org_x'), listed('org_x')], '/externalIds'],
    ['an id without its issuer', [{ id: 'org_x' }], '/externalIds/0/issuer'],
    ['an empty id', [listed('')], '/externalIds/0/id'],
    ['an id with a line end', [listed('org\nx')], '/externalIds/0/id'],
    ['an id that cannot be seen', [listed('org\u200bx')], '/externalIds/0/id'],
    ['an id with U+0000', [listed('org\0')], '/externalIds/0/id'],
    ['an id too long', [listed('x'.repeat(256))], '/externalIds/0/id'],
    ['an issuer with a space', [listed('org_x', 'https://a.example/ b')], '/externalIds/0/issuer'],
    ['more than anybody has', Array.from({ length: 51 }, (_, i) => listed(`o${i}`)), '/externalIds'],
  ])('may not be %s', async (_case, externalIds, pointer) => {
    const code = codeOf()
    const answer = await gateway.operator('POST', '/tenants', { code, name: code, externalIds })
    expectProblem(answer, { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
  })

  test('that were removed select no tenant on any gateway once the removal is answered', async () => {
    const tenant = await make([listed('org_gone'), listed('org_stays')])
    const [gone, stays] = [await print('org_gone'), await print('org_stays')]
    for (const at of [gateway, replica]) {
      for (const token of [gone, stays]) expect((await me(token, at)).status).toBe(200)
    }
    const { body } = await patch(tenant.id, { externalIds: [listed('org_stays')] })
    expect(body.effective).toEqual({ replicas: 2, confirmed: 2 })
    for (const at of [gateway, replica]) {
      expectProblem(await me(gone, at), TENANT_NOT_FOUND)
      expect((await me(stays, at)).status).toBe(200)
    }
    const heir = await make([])
    await patch(heir.id, { externalIds: [listed('org_gone')] })
    for (const at of [gateway, replica]) expect((await me(gone, at)).body.tenant.id).toBe(heir.id)
  })

  test('of an inactive tenant select no tenant', async () => {
    const tenant = await make([listed('org_asleep')])
    const token = await print('org_asleep')
    expect((await me(token, replica)).status).toBe(200)
    await patch(tenant.id, { status: 'INACTIVE' })
    for (const at of [gateway, replica]) expectProblem(await me(token, at), TENANT_NOT_FOUND)
  })
})

describe('roles of a tenant whose people come from an issuer', () => {
  const CLERK = { name: 'clerk', permissions: ['leases:read'] }

  test('are created with it, without an administrator', async () => {
    const tenant = await make([listed('org_roles')], { roles: [CLERK, { name: 'none', permissions: [] }] })
    const token = await print('org_roles', { roles: ['clerk', 'admin', 'none'] })
    expect((await me(token)).body).toMatchObject({ permissions: ['leases:read'], roles: ['clerk', 'none'] })
    expect((await gateway.call('GET', `${API}/leases`, { token })).status).toBe(200)
    const users = await gateway.operator('GET', `/tenants/${tenant.id}/users`)
    expect(users.body.data).toEqual([])
  })

  test('may be created together with an administrator', async () => {
    const admin = { email: 'ada@acme.example', password: 'correct horse battery staple' }
    const tenant = await make([], { roles: [CLERK], admin })
    const { body } = await gateway.operator('GET', `/tenants/${tenant.id}/roles`)
    expect(body.data.map(({ name }: { name: string }) => name)).toEqual(['clerk', 'admin'])
    await gateway.login(tenant.code, admin)
  })

  const admin = { email: 'ada@acme.example', password: 'correct horse battery staple' }
  test.each<[string, object, string]>([
    [
      'a permission that is none',
      { roles: [{ name: 'x', permissions: ['everything'] }] },
      '/roles/0/permissions/0',
    ],
    ['a name twice', { roles: [CLERK, CLERK] }, '/roles/1/name'],
    ['a name that cannot be seen', { roles: [{ name: ' ', permissions: [] }] }, '/roles/0/name'],
    ["the administrator's name", { admin, roles: [{ name: 'admin', permissions: [] }] }, '/roles/0/name'],
    ['more fields', { roles: [{ ...CLERK, users: [] }] }, '/roles/0/users'],
  ])('may not be %s', async (_case, more, pointer) => {
    const code = codeOf()
    const refused = await gateway.operator('POST', '/tenants', { code, name: code, ...more })
    expectProblem(refused, { status: 400, code: 'VALIDATION_FAILED', pointers: [pointer] })
    expect((await gateway.operator('POST', '/tenants', { code, name: code })).status).toBe(201)
  })

  test('are managed by operators, and apply at once on every gateway', async () => {
    const tenant = await make([listed('org_managed')])
    const path = `/tenants/${tenant.id}/roles`
    const token = await print('org_managed', { roles: ['clerk'] })
    const permissions = async (at: TestGateway) => (await me(token, at)).body.permissions
    for (const at of [gateway, replica]) expect(await permissions(at)).toEqual([])
    const role = await gateway.operator('POST', path, CLERK)
    expect(role.status).toBe(201)
    expect(role.headers.get('location')).toBe(`${API}${path}/${role.body.id}`)
    await expect.poll(() => permissions(replica), NOTIFIED).toEqual(['leases:read'])
    const row = `${path}/${role.body.id}`
    expect((await gateway.operator('GET', row)).body).toMatchObject(CLERK)
    const less = await gateway.operator('PATCH', row, { permissions: ['media:read'] })
    expect([less.status, less.headers.get('freehold-effective')]).toEqual([200, 'confirmed=2, replicas=2'])
    for (const at of [gateway, replica]) expect(await permissions(at)).toEqual(['media:read'])
    expect((await gateway.operator('DELETE', row)).status).toBe(204)
    for (const at of [gateway, replica]) expect(await permissions(at)).toEqual([])
    expectProblem(await gateway.operator('GET', row), { status: 404, code: 'NOT_FOUND' })
    expectProblem(await gateway.operator('GET', `/tenants/${UNKNOWN_ID}/roles`), TENANT_NOT_FOUND)
  })

  test('cannot be managed by users of the tenant or changed by viewers', async () => {
    const tenant = await make([listed('org_people')], { roles: [{ name: 'boss', permissions: ['*'] }] })
    const token = await print('org_people', { roles: ['boss'] })
    const path = `${API}/tenants/${tenant.id}/roles`
    expectProblem(await gateway.call('GET', path, { token }), { status: 403, code: 'OPERATOR_REQUIRED' })
    const viewer = await gateway.operator('POST', '/operators', { name: 'v', role: 'viewer' })
    const shown = { token: viewer.body.token as string }
    expect((await gateway.call('GET', path, shown)).status).toBe(200)
    const refused = await gateway.call('POST', path, { ...shown, body: CLERK })
    expectProblem(refused, { status: 403, code: 'PERMISSION_DENIED', required: 'operator:admin' })
  })
})
