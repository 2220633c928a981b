import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { CORE_PERMISSIONS } from '../../src/identity/access/permissions.ts'
import { property } from '../support/application.ts'
import { dropAll, superuserUrl } from '../support/database.ts'
import type { TestGateway } from '../support/gateway.ts'
import { addPerson, addRole, as, fresh, signIn } from './people.ts'
import {
  API,
  expectProblem,
  type Fixture,
  moveToOwnDatabase,
  openFixture,
  telling,
  UNKNOWN_ID,
} from './support.ts'

const GONE = { status: 404, code: 'NOT_FOUND' }
const DENIED = { status: 403, code: 'PERMISSION_DENIED' }
const CONFLICT = { status: 409, code: 'CONFLICT' }
const VOID = { status: 401, code: 'TOKEN_INVALID' }

let fixture: Fixture
let gateway: TestGateway
beforeAll(async () => {
  fixture = await openFixture({ LOGIN_RATE_LIMIT_PER_MINUTE: '100000' })
  gateway = fixture.gateway
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const me = (token: string) => gateway.call('GET', `${API}/auth/me`, { token })

describe.each(['shared', 'dedicated'] as const)('roles of a tenant in a %s database', (placement) => {
  const call = (method: string, path: string, body?: unknown) =>
    as(gateway, fixture[placement].token)(method, path, body)

  test('are created, found, listed, changed and deleted', async () => {
    const role = { name: fresh('clerk'), description: 'Writes', permissions: ['leases:*', 'properties:read'] }
    const { status, body: made, headers } = await call('POST', '/roles', role)
    expect(status).toBe(201)
    expect(made).toEqual({
      ...{ ...role, id: expect.any(String) },
      ...{ createdAt: expect.stringMatching(/Z$/), updatedAt: expect.stringMatching(/Z$/) },
    })
    expect(headers.get('location')).toBe(`${API}/roles/${made.id}`)
    expect((await call('GET', `/roles/${made.id}`)).body).toEqual(made)
    expect((await call('GET', '/roles?limit=200')).body.data).toContainEqual(made)

    const patch = { name: fresh('boss'), description: null, permissions: [] }
    const changed = await call('PATCH', `/roles/${made.id}`, patch)
    expect(changed.status).toBe(200)
    expect(changed.body).toEqual({ ...made, ...patch, updatedAt: changed.body.updatedAt })
    expect(changed.body.updatedAt > made.updatedAt).toBe(true)

    expect((await call('DELETE', `/roles/${made.id}`)).status).toBe(204)
    for (const method of ['GET', 'DELETE']) expectProblem(await call(method, `/roles/${made.id}`), GONE)
    expectProblem(await call('PATCH', `/roles/${made.id}`, { name: 'x' }), GONE)
  })

  test('are listed in pages, oldest first, with the role that every tenant has', async () => {
    for (let n = 0; n < 3; n++) await addRole(gateway, fixture[placement], [])
    const names: string[] = []
    for (let cursor = ''; ; ) {
      const { body } = await call('GET', `/roles?limit=2${cursor && `&cursor=${cursor}`}`)
      names.push(...body.data.map(({ name }: { name: string }) => name))
      if (body.nextCursor === null) break
      cursor = body.nextCursor
    }
    const { body: all } = await call('GET', '/roles?limit=200')
    expect(names).toEqual(all.data.map(({ name }: { name: string }) => name))
    expect(all.data[0]).toMatchObject({ name: 'admin', permissions: ['*'] })
    expectProblem(await call('GET', '/roles?cursor=x'), { status: 400, code: 'INVALID_CURSOR' })
  })

  test('consist of permissions, and a list shows the known ones', async () => {
    expect((await call('GET', '/permissions')).body).toEqual({
      data: [...property.permissions, ...CORE_PERMISSIONS],
    })
  })

  test('contain each permission once, and none that another covers', async () => {
    const permissions = ['leases:write', 'leases:*', 'credits:read']
    const { body } = await call('POST', '/roles', { name: fresh('r'), permissions })
    expect(body.permissions).toEqual(['credits:read', 'leases:*'])
  })

  test.each([
    [{}, ['/name', '/permissions']],
    [{ name: '', permissions: [] }, ['/name']],
    [{ name: 'a\tb', permissions: [] }, ['/name']],
    [{ name: 'x'.repeat(101), permissions: [] }, ['/name']],
    [{ name: 'x', permissions: ['leases'] }, ['/permissions/0']],
    [{ name: 'x', permissions: ['leases:read', '*:read'] }, ['/permissions/1']],
    [{ name: 'x', permissions: [], description: 7 }, ['/description']],
    [{ name: 'x', permissions: [], tenantId: UNKNOWN_ID }, ['/tenantId']],
  ])('cannot be created from %j', async (body, pointers) => {
    expectProblem(await call('POST', '/roles', body), { status: 400, code: 'VALIDATION_FAILED', pointers })
  })

  test('have a unique name in the tenant', async () => {
    const [{ name }, other] = [
      await addRole(gateway, fixture[placement], []),
      await addRole(gateway, fixture[placement], []),
    ]
    const taken = { ...CONFLICT, pointers: ['/name'] }
    expectProblem(await call('POST', '/roles', { name, permissions: [] }), taken)
    expectProblem(await call('PATCH', `/roles/${other.id}`, { name }), taken)
    const theirs = await as(gateway, fixture.other.token)('POST', '/roles', { name, permissions: [] })
    expect(theirs.status).toBe(201)
  })

  test('of another tenant are answered like those that do not exist', async () => {
    const { id } = await addRole(gateway, fixture.other, [])
    for (const [method, body] of [['GET'], ['PATCH', { name: 'mine' }], ['DELETE']] as const) {
      const [foreignAnswer, missingAnswer] = [
        await call(method, `/roles/${id}`, body),
        await call(method, `/roles/${UNKNOWN_ID}`, body),
      ]
      expectProblem(foreignAnswer, GONE)
      expect(telling(foreignAnswer)).toEqual(telling(missingAnswer))
    }
  })

  test('that a user has cannot be deleted', async () => {
    const role = await addRole(gateway, fixture[placement], [])
    const person = await addPerson(gateway, fixture[placement], { roles: [role.name] })
    expectProblem(await call('DELETE', `/roles/${role.id}`), CONFLICT)
    expect((await call('GET', `/users/${person.id}`)).body.roles).toEqual([role.name])
    await call('PATCH', `/users/${person.id}`, { roles: [] })
    expect((await call('DELETE', `/roles/${role.id}`)).status).toBe(204)
  })

  test('void the tokens of their users at once when their permissions change', async () => {
    const role = await addRole(gateway, fixture[placement], ['leases:read', 'properties:read'])
    const person = await addPerson(gateway, fixture[placement], { roles: [role.name] })
    const pair = await signIn(gateway, fixture[placement], person)
    const change = (permissions: string[]) => call('PATCH', `/roles/${role.id}`, { permissions })
    expect((await call('PATCH', `/roles/${role.id}`, { description: 'Reads' })).status).toBe(200)
    expect((await me(pair.accessToken)).body.permissions).toEqual(['leases:read', 'properties:read'])
    expect((await change(['leases:*'])).status).toBe(200)
    expectProblem(await me(pair.accessToken), VOID)
    const { body: next } = await gateway.call('POST', `${API}/auth/refresh`, {
      body: { refreshToken: pair.refreshToken },
    })
    expect((await me(next.accessToken)).body.permissions).toEqual(['leases:*'])
  })

  test('stay with their users when their name changes', async () => {
    const role = await addRole(gateway, fixture[placement], ['leases:read'])
    const person = await addPerson(gateway, fixture[placement], { roles: [role.name] })
    const name = fresh('renamed')
    expect((await call('PATCH', `/roles/${role.id}`, { name })).status).toBe(200)
    expect((await call('GET', `/users/${person.id}`)).body.roles).toEqual([name])
  })

  test('can be changed only by callers with the permission, within their own permissions', async () => {
    const clerk = await addRole(gateway, fixture[placement], ['roles:*', 'leases:read'])
    const person = await addPerson(gateway, fixture[placement], { roles: [clerk.name] })
    const { accessToken } = await signIn(gateway, fixture[placement], person)
    const ask = as(gateway, accessToken)
    const more = await addRole(gateway, fixture[placement], ['leases:read', 'leases:write'])
    const denied = { ...DENIED, required: 'leases:write' }
    expectProblem(await ask('POST', '/roles', { name: fresh('r'), permissions: ['leases:write'] }), denied)
    expectProblem(
      await ask('PATCH', `/roles/${clerk.id}`, { permissions: ['roles:*', 'leases:write'] }),
      denied,
    )
    // Neither the name of a stronger role nor its permissions.
    expectProblem(await ask('PATCH', `/roles/${more.id}`, { permissions: [] }), denied)
    expectProblem(await ask('PATCH', `/roles/${more.id}`, { name: fresh('r') }), denied)
    expectProblem(await ask('DELETE', `/roles/${more.id}`), denied)
    const made = await ask('POST', '/roles', { name: fresh('r'), permissions: ['leases:read'] })
    expect(made.status, made.text).toBe(201)

    const reader = await addRole(gateway, fixture[placement], ['roles:read'])
    const looker = await addPerson(gateway, fixture[placement], { roles: [reader.name] })
    const look = as(gateway, (await signIn(gateway, fixture[placement], looker)).accessToken)
    expect((await look('GET', `/roles/${more.id}`)).status).toBe(200)
    for (const [method, path] of [
      ['POST', '/roles'],
      ['PATCH', `/roles/${more.id}`],
      ['DELETE', `/roles/${more.id}`],
    ])
      expectProblem(await look(method as string, path as string), { ...DENIED, required: 'roles:write' })
    const powerless = as(
      gateway,
      (await signIn(gateway, fixture[placement], await addPerson(gateway, fixture[placement]))).accessToken,
    )
    for (const path of ['/roles', `/roles/${more.id}`, '/permissions'])
      expectProblem(await powerless('GET', path), { ...DENIED, required: 'roles:read' })
  })

  test('are recorded in the audit log', async () => {
    const { id, name } = await addRole(gateway, fixture[placement], ['leases:read'])
    await call('PATCH', `/roles/${id}`, { permissions: [] })
    await call('DELETE', `/roles/${id}`)
    const { body } = await gateway.operator('GET', `/audit-log?tenantId=${fixture[placement].id}&limit=50`)
    const about = body.data.filter(
      ({ before, after }: Record<string, { roleId?: string } | null>) => (after ?? before)?.roleId === id,
    )
    expect(about.map(({ action }: { action: string }) => action)).toEqual([
      'role.delete',
      'role.update',
      'role.create',
    ])
    expect(about[1]).toMatchObject({
      before: { name, permissions: ['leases:read'] },
      after: { permissions: [] },
    })
  })

  test('leave the tenant an administrator, even when its last two roles are emptied at once', async () => {
    const tenant = await gateway.createTenant()
    if (placement === 'dedicated') await moveToOwnDatabase(gateway, tenant.id)
    const { body } = await as(gateway, tenant.token)('GET', '/roles')
    const first = `/roles/${body.data[0].id}`
    const admin = await as(gateway, tenant.token)('PATCH', first, { permissions: ['users:*'] })
    expectProblem(admin, CONFLICT)
    for (let round = 0; round < 4; round++) {
      const ours = as(gateway, await gateway.login(tenant.code, tenant.admin))
      const second = await addRole(
        gateway,
        { ...tenant, token: await gateway.login(tenant.code, tenant.admin) },
        ['*'],
      )
      const person = await addPerson(gateway, tenant, { roles: [second.name] })
      const theirs = as(gateway, (await signIn(gateway, tenant, person)).accessToken)
      const answers = await Promise.all([
        ours('PATCH', first, { permissions: [] }),
        theirs('PATCH', `/roles/${second.id}`, { permissions: [] }),
      ])
      const statuses = answers.map(({ status }) => status)
      expect(statuses.toSorted(), answers.map(({ text }) => text).join()).toEqual([200, 409])
      // The next case begins in the same state.
      if (statuses[0] === 200) expect((await theirs('PATCH', first, { permissions: ['*'] })).status).toBe(200)
      const left = await gateway.operator('DELETE', `/tenants/${tenant.id}/users/${person.id}`)
      expect(left.status, left.text).toBe(204)
    }
  })
})

describe('a change that could not be announced to the catalog', () => {
  /** Runs `fn` while the audit log cannot be written. */
  async function withoutCatalog<T>(fn: () => Promise<T>): Promise<T> {
    const database = new URL(fixture.stage.catalogUrl).pathname.slice(1)
    const holder = new Client({ connectionString: superuserUrl(database) })
    await holder.connect()
    try {
      await holder.query('BEGIN; LOCK TABLE audit_log IN EXCLUSIVE MODE')
      return await fn()
    } finally {
      await holder.end()
    }
  }

  test('voids the tokens when it is repeated, and is in the audit log in any case', async () => {
    const tenant = fixture.shared
    const call = as(gateway, tenant.token)
    const role = await addRole(gateway, tenant, ['leases:read', 'properties:read'])
    const person = await addPerson(gateway, tenant, { roles: [role.name] })
    const { accessToken } = await signIn(gateway, tenant, person)
    const leaver = await addPerson(gateway, tenant)
    const patch = () => call('PATCH', `/roles/${role.id}`, { permissions: ['leases:read'] })
    const email = `${fresh('new')}@people.example`
    const make = () => call('POST', '/users', { email, password: person.password })
    const answers = await withoutCatalog(() =>
      Promise.all([patch(), make(), call('DELETE', `/users/${leaver.id}`)]),
    )
    for (const answer of answers) {
      expectProblem(answer, { status: 503, code: 'CATALOG_UNAVAILABLE' })
      expect(answer.body.detail).toContain('the audit log will say so')
    }
    expect((await patch()).status).toBe(200)
    expectProblem(await me(accessToken), VOID)
    expectProblem(await make(), CONFLICT)
    const announced = async (action: string) => {
      const { body } = await gateway.operator('GET', `/audit-log?tenantId=${tenant.id}&action=${action}`)
      return body.data.filter(({ after }: { after: object | null }) => after && 'announced' in after)
    }
    const row = (parts: object) => [expect.objectContaining(parts)]
    const created = row({ after: expect.objectContaining({ email, userId: expect.any(String) }) })
    await expect.poll(() => announced('user.create')).toEqual(created)
    const [deleted] = await announced('user.delete')
    expect(deleted).toMatchObject({
      before: { userId: leaver.id, email: '[erased]' },
      after: { userId: leaver.id, announced: false },
    })
    expect(await announced('role.update')).toEqual(
      row({ after: expect.objectContaining({ roleId: role.id, announced: false }) }),
    )
  }, 60_000)
})
