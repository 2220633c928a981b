import { Client } from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { bindingOf } from '../../src/catalog/vault.ts'
import { parseMasterKey } from '../../src/crypto/key-source.ts'
import { DataKey, Keyring } from '../../src/crypto/keyring.ts'
import { moveToOwnDatabase } from '../http/support.ts'
import { dropAll } from '../support/database.ts'
import {
  createStage,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { PLACES } from './support.ts'

/** No health rounds: requests must find out by themselves. */
const MORE = { HEALTH_CHECK_CRON: '0 0 1 1 *' }
const TIME_LIMIT = { timeout: 60_000, interval: 100 }
const SLOW = 60_000

let stage: Stage
let first: TestGateway
let catalog: Client
let keyring: Keyring
beforeAll(async () => {
  stage = await createStage()
  keyring = new Keyring(parseMasterKey(stage.encryptionKey), [])
  first = await startGateway(stage, MORE)
  catalog = new Client({ connectionString: stage.catalogUrl })
  await catalog.connect()
})
afterAll(async () => {
  await catalog?.end()
  await first?.close()
  await dropAll()
})

const list = (gateway: TestGateway, { token }: TestTenant) => gateway.call('GET', PLACES, { token })

/** The table and column of a sealed value of a tenant. */
interface Place {
  readonly table: string
  readonly column: string
}

async function valueAt({ table, column }: Place, { id }: TestTenant): Promise<Buffer> {
  const { rows } = await catalog.query(`select ${column} as value from ${table} where tenant_id = $1`, [id])
  return rows[0]?.value
}

async function put({ table, column }: Place, { id }: TestTenant, value: Buffer): Promise<void> {
  await catalog.query(`update ${table} set ${column} = $2 where tenant_id = $1`, [id, value])
}

function spoilt(value: Buffer): Buffer {
  const copy = Buffer.from(value)
  copy.writeUInt8(copy.readUInt8(copy.length - 1) ^ 1, copy.length - 1)
  return copy
}

async function dedicated(): Promise<{ tenant: TestTenant; url: string }> {
  const tenant = await first.createTenant()
  return { tenant, url: await moveToOwnDatabase(first, tenant.id) }
}

/** On a gateway that has read no route yet. */
async function onAnother(fn: (gateway: TestGateway) => Promise<void>): Promise<void> {
  const gateway = await startGateway(stage, MORE)
  try {
    await fn(gateway)
  } finally {
    await gateway.close()
  }
}

const CREDENTIAL = { table: 'tenant_databases', column: 'sealed_connection_string' }
const DATA_KEY = { table: 'data_keys', column: 'sealed_key' }

async function placeOfKey({ id }: TestTenant) {
  const { rows } = await catalog.query('select id, row_version from data_keys where tenant_id = $1', [id])
  return bindingOf(id, { id: rows[0].id, rowVersion: Number(rows[0].row_version) })
}

async function keyOf(tenant: TestTenant): Promise<DataKey> {
  return keyring.unwrapDataKey(await valueAt(DATA_KEY, tenant), await placeOfKey(tenant))
}

/** A connection string sealed for the tenant's entry, as the gateway would seal it. */
async function sealed({ id }: TestTenant, text: string, key: DataKey): Promise<Buffer> {
  const { rows } = await catalog.query('select id, row_version from tenant_databases where tenant_id = $1', [
    id,
  ])
  const { table, column } = CREDENTIAL
  const place = { table, column, tenantId: id, rowId: rows[0].id, rowVersion: Number(rows[0].row_version) }
  return key.seal('database-credential', text, place)
}

describe('a corrected secret is used without a restart', () => {
  test.each([
    ['the connection string of a database', CREDENTIAL],
    ["a tenant's data key", DATA_KEY],
  ])(
    '%s',
    async (_name, place) => {
      const { tenant } = await dedicated()
      const right = await valueAt(place, tenant)
      await put(place, tenant, spoilt(right))
      await onAnother(async (gateway) => {
        for (let n = 0; n < 2; n += 1) expect((await list(gateway, tenant)).status).toBe(503)
        await put(place, tenant, right)
        await expect.poll(async () => (await list(gateway, tenant)).status, TIME_LIMIT).toBe(200)
      })
    },
    SLOW,
  )

  test(
    'a data key that was replaced with everything sealed under it, as in a restored catalog',
    async () => {
      const { tenant, url } = await dedicated()
      const [key, credential] = [await valueAt(DATA_KEY, tenant), await valueAt(CREDENTIAL, tenant)]
      const strange = DataKey.generate()
      const wrapped = keyring.wrapDataKey(strange, await placeOfKey(tenant))
      const credentialThere = await sealed(tenant, url, strange)
      await onAnother(async (gateway) => {
        // By then this gateway has loaded the old key, but not the credential.
        await expect
          .poll(async () => (await gateway.operator('GET', `/tenants/${tenant.id}/signing-key`)).status)
          .toBe(404)
        await gateway.operator('PUT', `/tenants/${tenant.id}/signing-key`, { algorithm: 'ES256' })
        await gateway.operator('DELETE', `/tenants/${tenant.id}/signing-key`)
        await put(DATA_KEY, tenant, wrapped)
        await put(CREDENTIAL, tenant, credentialThere)
        await expect.poll(async () => (await list(gateway, tenant)).status, TIME_LIMIT).toBe(200)
      })
      await put(DATA_KEY, tenant, key)
      await put(CREDENTIAL, tenant, credential)
    },
    SLOW,
  )

  test(
    'a password that the server refused',
    async () => {
      const { tenant, url } = await dedicated()
      const right = await valueAt(CREDENTIAL, tenant)
      const wrong = new URL(url)
      wrong.password = 'not-the-password'
      await put(CREDENTIAL, tenant, await sealed(tenant, wrong.href, await keyOf(tenant)))
      await onAnother(async (gateway) => {
        expect((await list(gateway, tenant)).status).toBe(503)
        await put(CREDENTIAL, tenant, right)
        await expect.poll(async () => (await list(gateway, tenant)).status, TIME_LIMIT).toBe(200)
      })
    },
    SLOW,
  )

  test(
    "a tenant's signing key",
    async () => {
      const tenant = await first.createTenant()
      const path = `/tenants/${tenant.id}/signing-key`
      expect((await first.operator('PUT', path, { algorithm: 'ES256' })).status).toBe(200)
      const place = { table: 'signing_keys', column: 'sealed_private_key' }
      const right = await valueAt(place, tenant)
      await put(place, tenant, spoilt(right))
      await onAnother(async (gateway) => {
        const body = { tenantCode: tenant.code, ...tenant.admin }
        const logIn = () => gateway.call('POST', '/api/v1/auth/login', { body })
        expect((await logIn()).status).toBeGreaterThanOrEqual(500)
        await put(place, tenant, right)
        await expect.poll(async () => (await logIn()).status, TIME_LIMIT).toBe(200)
      })
    },
    SLOW,
  )
})
