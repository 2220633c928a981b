import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import { createStage, type Stage, startGateway, type TestGateway } from '../support/gateway.ts'
import { databaseCalls, freshUrl, NOWHERE, untried } from './database-calls.ts'
import { expectProblem, moveToOwnDatabase, UNKNOWN_ID } from './support.ts'

let stage: Stage
let gateway: TestGateway
beforeAll(async () => {
  stage = await createStage()
  // These tests are about actions of operators. No health round may change anything in between.
  gateway = await startGateway(stage, { HEALTH_FAILURES_TO_INACTIVE: '1000' })
})
afterAll(async () => {
  await gateway?.close()
  await dropAll()
})

const { put, get, validate, remove, tenantOf, places, addPlace } = databaseCalls(() => gateway)
const INVALID = { status: 400, code: 'VALIDATION_FAILED' }
const NONE = { status: 404, code: 'NOT_FOUND' }
const MOMENT = expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/)

describe('PUT /tenants/{id}/database', () => {
  describe('202', () => {
    test('is answered before any connection is tried, with exactly these fields', async () => {
      const { id } = await gateway.createTenant()
      const { status, body, text } = await put(id, { connectionString: NOWHERE })
      expect(status).toBe(202)
      // The present state is answered, without waiting.
      const effective = { replicas: 1, confirmed: expect.any(Number) }
      expect(body).toEqual({ ...untried(id), candidate: null, effective })
      expect(text).not.toContain('secret-of-nowhere')
    })

    test('every setting may be given, and is shown again', async () => {
      const { id } = await gateway.createTenant()
      const settings = { poolSize: 3, idleTimeoutSeconds: 7, connectionTimeoutSeconds: 2 }
      const connectionString = `${NOWHERE}?sslmode=require&application_name=reports`
      const { body } = await put(id, { connectionString, databaseType: 'postgres', ...settings })
      expect(body).toMatchObject({ ...settings, sslMode: 'require' })
    })

    test('TLS is off for this machine and verify-full for others, unless the request says otherwise', async () => {
      const { id } = await gateway.createTenant()
      const sslModeFor = async (connectionString: string) =>
        (await put(id, { connectionString })).body.sslMode
      expect(await sslModeFor('postgresql://u:p@127.0.0.1:1/d')).toBe('disable')
      expect(await sslModeFor('postgresql://u:p@[::1]:1/d')).toBe('disable')
      expect(await sslModeFor('postgresql://u:p@db.invalid/d')).toBe('verify-full')
      expect(await sslModeFor('postgresql://u:p@db.invalid/d?sslmode=verify-ca')).toBe('verify-ca')
      expect(await sslModeFor('postgresql://u:p@127.0.0.1:1/d?sslmode=verify-full')).toBe('verify-full')
    })

    test('a valid one becomes the tenant database, and shows what the validation found', async () => {
      const tenant = await gateway.createTenant()
      await moveToOwnDatabase(gateway, tenant.id)
      // The tenant database changes before the validation that changed it is recorded as ended.
      const checkedAt = async () => (await get(tenant.id)).body.lastCheckedAt
      await expect.poll(checkedAt).not.toBeNull()
      const { body } = await get(tenant.id)
      expect(body).toMatchObject({
        ...{
          status: 'active',
          placement: 'dedicated',
          moveRequired: false,
          lastError: null,
          candidate: null,
        },
        ...{ sslMode: 'disable', validatedAt: MOMENT, lastCheckedAt: MOMENT },
        ...{
          serverVersion: expect.stringMatching(/^\d+/),
          schemaVersion: {
            core: expect.stringMatching(/^\d{4}/),
            application: expect.stringMatching(/^\d{4}/),
          },
        },
      })
      const { candidate: _none, effective, ...summary } = body
      expect(effective.replicas).toBe(1)
      const record = await tenantOf(tenant.id)
      expect(record.placement).toBe('dedicated')
      // Health rounds run meanwhile.
      expect({ ...record.database, lastCheckedAt: null }).toEqual({ ...summary, lastCheckedAt: null })
      expect((await places(tenant)).status).toBe(200)
      expect(await gateway.login(tenant.code, tenant.admin)).toMatch(/^ey/)
    })

    test('a failed one leaves the tenant where it was, and a new registration replaces it', async () => {
      const tenant = await gateway.createTenant()
      const failed = await gateway.registerDatabase(tenant.id, NOWHERE)
      expect(failed).toMatchObject({
        ...{ status: 'failed', placement: 'shared', candidate: null, validatedAt: null },
        lastError: { code: 'DNS_FAILED', message: expect.any(String), at: MOMENT },
      })
      expect((await places(tenant)).status).toBe(200)
      const mended = await gateway.registerDatabase(tenant.id, await freshUrl())
      expect(mended).toMatchObject({ status: 'active', lastError: null, candidate: null })
    })

    test('rows in the shared database stay in service: a move is required', async () => {
      const tenant = await gateway.createTenant()
      await addPlace(tenant)
      const body = await gateway.registerDatabase(tenant.id, await freshUrl())
      expect(body).toMatchObject({
        status: 'active',
        placement: 'shared',
        moveRequired: true,
        lastError: null,
      })
      expect(await tenantOf(tenant.id)).toMatchObject({
        placement: 'shared',
        database: { moveRequired: true },
      })
      expect((await places(tenant)).body.data).toHaveLength(1)
    })
  })

  describe('400', () => {
    const ok = { connectionString: NOWHERE }
    test.each([
      [{}, ['/connectionString']],
      [{ connectionString: '' }, ['/connectionString']],
      [{ connectionString: null }, ['/connectionString']],
      [{ connectionString: ['postgresql://u:p@db.invalid/d'] }, ['/connectionString']],
      [{ connectionString: 'postgresql://u:p@db.invalid' }, ['/connectionString']],
      [{ ...ok, databaseType: 'mysql' }, ['/databaseType']],
      [{ ...ok, databaseType: null }, ['/databaseType']],
      [{ ...ok, poolSize: 0 }, ['/poolSize']],
      [{ ...ok, poolSize: 1001 }, ['/poolSize']],
      [{ ...ok, poolSize: '10' }, ['/poolSize']],
      [{ ...ok, poolSize: 1.5 }, ['/poolSize']],
      [{ ...ok, poolSize: null }, ['/poolSize']],
      [{ ...ok, idleTimeoutSeconds: 0 }, ['/idleTimeoutSeconds']],
      [{ ...ok, idleTimeoutSeconds: 86_401 }, ['/idleTimeoutSeconds']],
      [{ ...ok, connectionTimeoutSeconds: 0 }, ['/connectionTimeoutSeconds']],
      [{ ...ok, connectionTimeoutSeconds: 61 }, ['/connectionTimeoutSeconds']],
      [{ ...ok, applyMigrations: 'yes' }, ['/applyMigrations']],
      [{ ...ok, applyMigrations: 1 }, ['/applyMigrations']],
      [{ ...ok, caCertificate: '' }, ['/caCertificate']],
      [{ ...ok, caCertificate: 'not PEM' }, ['/caCertificate']],
      [{ ...ok, caCertificate: '/etc/ssl/certs/ca.pem' }, ['/caCertificate']],
      [{ ...ok, password: 'secret-of-nowhere' }, ['/password']],
      [{ ...ok, tenantId: UNKNOWN_ID }, ['/tenantId']],
      [{ ...ok, status: 'active' }, ['/status']],
      [{ poolSize: 0, sslMode: 'disable' }, ['/connectionString', '/poolSize', '/sslMode']],
    ])('%j', async (body, pointers) => {
      const { id } = await gateway.createTenant()
      const answer = await put(id, body)
      expectProblem(answer, INVALID)
      const errors: { pointer: string }[] = answer.body.errors
      expect(errors.map(({ pointer }) => pointer).toSorted()).toEqual(pointers)
      expect(answer.text).not.toContain('secret-of-nowhere')
      expectProblem(await get(id), NONE)
    })
  })
})

describe('404', () => {
  const verbs = { get, validate, remove }

  test.each(Object.entries(verbs))('%s: without a database', async (_verb, ask) => {
    expectProblem(await ask((await gateway.createTenant()).id), NONE)
  })

  const all = { ...verbs, put: (id: string) => put(id, { connectionString: NOWHERE }) }
  test.each(Object.entries(all))('%s: for an unknown tenant', async (_verb, ask) => {
    for (const id of [UNKNOWN_ID, 'x'])
      expectProblem(await ask(id), { status: 404, code: 'TENANT_NOT_FOUND' })
  })
})

test('no answer, log line or text in the catalog contains a connection string or a password', async () => {
  const tenant = await gateway.createTenant()
  const url = await moveToOwnDatabase(gateway, tenant.id)
  await gateway.registerDatabase(tenant.id, NOWHERE)
  await validate(tenant.id)
  const answers = [
    ...[await get(tenant.id), await remove(tenant.id), await gateway.operator('GET', '/tenants?limit=200')],
    ...[await gateway.operator('GET', `/audit-log?limit=200&tenantId=${tenant.id}`)],
  ]
  const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
  const [dump] = await query<{ text: string }>(
    catalog,
    `SELECT query_to_xml('SELECT * FROM tenant_databases', true, false, '')::text
         || query_to_xml('SELECT * FROM audit_log', true, false, '')::text
         || query_to_xml('SELECT * FROM catalog_changes', true, false, '')::text AS text`,
  )
  const said = [gateway.log(), dump?.text, ...answers.map(({ text }) => text)].join('\n')
  // Shows that the right text is searched.
  expect(said).toContain('db.invalid')
  for (const secret of [new URL(url).password, 'secret-of-nowhere', 'postgresql://'])
    expect(said).not.toContain(secret)
})
