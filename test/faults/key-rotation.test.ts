import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { CatalogStore } from '../../src/catalog/store.ts'
import { Vault } from '../../src/catalog/vault.ts'
import { parseMasterKey } from '../../src/crypto/key-source.ts'
import { Keyring } from '../../src/crypto/keyring.ts'
import { createPool } from '../../src/lib/postgres/pg.ts'
import { API, expectProblem, moveToOwnDatabase } from '../http/support.ts'
import { dropAll, query, superuserUrl } from '../support/database.ts'
import {
  type Answer,
  Caller,
  createStage,
  environmentOf,
  type Stage,
  startGateway,
  type TestGateway,
  type TestTenant,
} from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { addressOf } from '../support/tenant-database.ts'
import { Bystander, makePlace, PLACES } from './support.ts'

/** Processes start and end, and the machine may be busy. */
const TIME_LIMIT = { timeout: 150_000 }
const SOON = { timeout: 60_000, interval: 50 }
/** sysexits.h: EX_CONFIG. */
const REFUSED = 78
/** Tenants that have a data key only. */
const OTHERS = 300
const HELD = 150

const [OLD = '', NEW = '', NEWER = ''] = Array.from({ length: 3 }, () => randomBytes(32).toString('base64'))
const idOf = (key: string) => parseMasterKey(key).id
const said: (() => string)[] = []

let stage: Stage
let shared: TestTenant
let own: TestTenant
let clientKey: string
let cursor: string
/** The audit log is sealed under the service's data key up to here. */
let sealed: number
/** The number of data keys. */
let total: number

/** A gateway while another one seals under another key, and its answer to a rotation, after eleven seconds. */
let crowded: { gateway: TestGateway; stage: Stage; answer: Promise<Answer> }

/** The settings of gateways with these keys. */
const keyed = (key: string, retired = ''): [Stage, Record<string, string>] => [
  { ...stage, encryptionKey: key },
  { ENCRYPTION_KEYS_RETIRED: retired },
]

function launch(key: string, retired = ''): GatewayProcess {
  const process = new GatewayProcess({ env: environmentOf(...keyed(key, retired)) })
  said.push(() => process.stdout + process.stderr)
  onTestFinished(async () => void (await process.end('SIGKILL')))
  return process
}

async function begin(key: string, retired = ''): Promise<{ process: GatewayProcess; caller: Caller }> {
  const process = launch(key, retired)
  return { process, caller: new Caller(await process.url(), stage.operatorToken) }
}

async function beginHere(key: string, retired = ''): Promise<TestGateway> {
  const gateway = await startGateway(...keyed(key, retired))
  said.push(gateway.log)
  onTestFinished(() => gateway.close())
  return gateway
}

const catalogUrl = ({ catalogUrl: url }: Stage) => superuserUrl(new URL(url).pathname.slice(1))
const encryption = async (caller: Caller) => (await caller.operator('GET', '/encryption')).body
const byKey = { 'x-client-key': '', 'x-tenant-code': '' }
const list = (caller: Caller, { token }: TestTenant, more = '') =>
  caller.call('GET', `${PLACES}?limit=1${more}`, { token })

beforeAll(async () => {
  stage = { ...(await createStage()), encryptionKey: OLD }
  const gateway = await startGateway(stage)
  ;[shared, own] = await Promise.all([gateway.createTenant(), gateway.createTenant()])
  await moveToOwnDatabase(gateway, own.id)
  const key = await gateway.operator('PUT', `/tenants/${own.id}/signing-key`, { algorithm: 'ES256' })
  expect(key.status).toBe(200)
  own = { ...own, token: await gateway.login(own.code, own.admin) }
  const made = await gateway.operator('POST', `/tenants/${shared.id}/client-keys`, {
    ...{ name: 'Program', permissions: ['properties:read'] },
  })
  Object.assign(byKey, { 'x-client-key': made.body.key, 'x-tenant-code': shared.code })
  clientKey = made.body.key
  for (const tenant of [shared, own, own]) await makePlace(gateway, tenant, 'From before')
  cursor = (await list(gateway, own)).body.nextCursor
  const verdict = (await gateway.operator('GET', '/audit-log/verify')).body
  expect(verdict).toMatchObject({ ok: true })
  sealed = verdict.rows
  await gateway.close()
  await makeOthers()
  total = OTHERS + 2 // The service's key, and that of the tenant with its own secrets.
  crowded = await crowd()
})
afterAll(async () => {
  await crowded?.gateway.close()
  await dropAll()
})

async function makeOthers(): Promise<void> {
  const rows = await query<{ id: string }>(
    catalogUrl(stage),
    `INSERT INTO tenants (id, code, name, auth_config) SELECT gen_random_uuid(), 'other-' || n, 'Other', '{}'
     FROM generate_series(1, $1::int) n RETURNING id`,
    [OTHERS],
  )
  const limits = { connectTimeoutMs: 60_000, statementTimeoutMs: 10_000, idleTimeoutMs: 5_000, max: 4 }
  const pool = createPool(addressOf(stage.catalogUrl), limits)
  const vault = new Vault(new CatalogStore(pool), new Keyring(parseMasterKey(OLD)), { max: OTHERS })
  await Promise.all(rows.map(({ id }) => vault.dataKey(id)))
  await pool.end()
}

/** Blocks the rewrapping of some data keys until they are released. */
async function hold(count: number): Promise<() => Promise<void>> {
  const client = new Client({ connectionString: catalogUrl(stage) })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end())
  await client.query('BEGIN')
  await client.query(
    `SELECT FROM data_keys WHERE tenant_id IS NOT NULL ORDER BY id DESC LIMIT ${count} FOR UPDATE`,
  )
  return () => client.end()
}

async function crowd() {
  const alone = await createStage()
  const gateway = await startGateway(alone)
  // In the future, so that the replica counts as live for long enough, but not so far that it is refused.
  await beat(alone, '-50 seconds')
  return { gateway, stage: alone, answer: gateway.operator('POST', '/encryption/rotate') }
}

/** A heartbeat of this age, of a replica that seals under the old key. */
async function beat(at: Stage, ago: string): Promise<void> {
  const id = '01900000-0000-7000-8000-000000000001'
  await query(
    catalogUrl(at),
    `INSERT INTO replicas (id, primary_key_id, heartbeat_at) VALUES ($1, $2, now() - $3::interval)
     ON CONFLICT (id) DO UPDATE SET heartbeat_at = excluded.heartbeat_at`,
    [id, idOf(OLD), ago],
  )
}

/** How many data keys a process has rewrapped. */
async function rewrapped(caller: Caller): Promise<number> {
  const { text } = await caller.call('GET', '/metrics')
  return Number(/^freehold_data_keys_rewrapped_total (\d+)$/m.exec(text)?.[1])
}

/** Logs in and sends requests with a client key, again and again. */
class Visitors {
  readonly #done: Promise<void>
  readonly statuses: number[] = []
  #stopping = false

  constructor(caller: Caller) {
    this.#done = this.#work(caller)
  }

  async expectLetIn(): Promise<void> {
    this.#stopping = true
    await this.#done
    expect(this.statuses.length).toBeGreaterThan(4)
    expect(new Set(this.statuses)).toEqual(new Set([200]))
  }

  async #work(caller: Caller): Promise<void> {
    while (!this.#stopping) {
      for (const { code, admin } of [shared, own]) {
        const body = { tenantCode: code, ...admin }
        this.statuses.push((await caller.call('POST', `${API}/auth/login`, { body })).status)
      }
      this.statuses.push((await caller.call('GET', PLACES, { headers: byKey })).status)
      // Checking a password takes one of the two cores.
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** A process that does not start, and its message about missing keys. */
async function refusal(key: string): Promise<string> {
  const process = launch(key)
  expect(await process.ended).toBe(REFUSED)
  expect(process.stderr.trimEnd().split('\n')).toHaveLength(1)
  return process.stderr
}

test(
  'a rotation under load fails no request, survives kill -9, and lets no key be removed before its end',
  TIME_LIMIT,
  async () => {
    const [one, other] = await Promise.all([begin(NEW, OLD), begin(NEW, OLD)])
    const letGo = await hold(HELD)
    const bystanders = [shared, own].map((tenant) => new Bystander(other.caller, tenant))
    const visitors = new Visitors(other.caller)
    const served = (atLeast: number) =>
      expect
        .poll(() => Math.min(...bystanders.map(({ answers }) => answers.length)), SOON)
        .toBeGreaterThan(atLeast)
    await served(5)
    const { status, body } = await one.caller.operator('POST', '/encryption/rotate')
    expect(status).toBe(202)
    expect(body.rotation).toMatchObject({ keyId: idOf(NEW), status: 'running', total })
    await expect.poll(async () => (await encryption(other.caller)).rotation.remaining, SOON).toBe(HELD)
    expect((await encryption(one.caller)).counts).toEqual({ [idOf(OLD)]: HELD, [idOf(NEW)]: total - HELD })
    // Each key once, by either replica.
    const byBoth = async () => (await rewrapped(one.caller)) + (await rewrapped(other.caller))
    await expect.poll(byBoth, SOON).toBe(total - HELD)
    await served(25)
    await Promise.all(bystanders.map((bystander) => bystander.expectUndisturbed()))
    await visitors.expectLetIn()
    await Promise.all([one.process.end('SIGKILL'), other.process.end('SIGKILL')])

    const [refused, heir] = await Promise.all([refusal(NEW), begin(NEW, OLD)])
    expect(refused).toContain(`${idOf(OLD)} (needed by ${HELD}) (WRONG_ENCRYPTION_KEY)`)
    expect((await encryption(heir.caller)).rotation).toMatchObject({ status: 'running', remaining: HELD })
    await letGo()
    await expect.poll(async () => (await encryption(heir.caller)).rotation.status, SOON).toBe('done')
    expect(await encryption(heir.caller)).toMatchObject({
      ...{ currentKeyId: idOf(NEW), counts: { [idOf(NEW)]: total } },
      rotation: { id: body.rotation.id, total, remaining: 0 },
    })
    expect(await heir.process.end()).toBe(0)
  },
)

test(
  'the new key opens everything after a rotation; a replica without a needed key reports it and serves the other tenants',
  TIME_LIMIT,
  async () => {
    const { process, caller } = await begin(NEW)
    for (const tenant of [shared, own]) {
      const known = { ...tenant, token: await caller.login(tenant.code, tenant.admin) }
      await makePlace(caller, known, 'From after')
      expect((await list(caller, tenant)).status).toBe(200)
    }
    expect((await caller.call('GET', PLACES, { headers: byKey })).status).toBe(200)
    const next = await list(caller, own, `&cursor=${cursor}`)
    expect([next.status, next.body.data.length]).toEqual([200, 1])
    const { body } = await caller.operator('GET', '/audit-log/verify')
    expect(body).toMatchObject({ ok: true, firstBreak: null })
    expect(body.sealedThrough).toBeGreaterThanOrEqual(sealed)

    const ahead = await beginHere(NEWER, NEW)
    const stranger = await ahead.createTenant()
    await ahead.operator('PUT', `/tenants/${stranger.id}/signing-key`, { algorithm: 'ES256' })
    await expect.poll(async () => (await caller.call('GET', '/readyz')).status, SOON).toBe(503)
    expect((await caller.call('GET', '/readyz')).body).toEqual({ status: 'key-missing' })
    for (const tenant of [shared, own]) expect((await list(caller, tenant)).status).toBe(200)
    expect((await ahead.call('GET', '/readyz')).status).toBe(200)
    expectProblem(await caller.operator('POST', '/encryption/rotate'), { status: 409, code: 'CONFLICT' })
    expect(await process.end()).toBe(0)
  },
)

test(
  'a data key that was changed in the catalog is reported, and the others are rewrapped all the same',
  TIME_LIMIT,
  async () => {
    const gateway = await beginHere(NEWER, NEW)
    const [row] = await query<{ id: string }>(
      catalogUrl(stage),
      `UPDATE data_keys SET sealed_key = set_byte(sealed_key, 30, get_byte(sealed_key, 30) # 1)
     WHERE id = (SELECT max(k.id::text)::uuid FROM data_keys k JOIN tenants t ON t.id = k.tenant_id WHERE t.name = 'Other')
     RETURNING id`,
    )
    expect((await gateway.operator('POST', '/encryption/rotate')).status).toBe(202)
    await expect.poll(async () => (await encryption(gateway)).rotation.status, SOON).toBe('failed')
    const { counts, rotation } = await encryption(gateway)
    expect(counts).toEqual({ [idOf(NEW)]: 1, [idOf(NEWER)]: total })
    expect(rotation).toMatchObject({ remaining: 1 })
    const lines = gateway.log().split('\n')
    const told = lines.filter((line) => line.includes('"a data key does not open"'))
    expect(told).toHaveLength(1)
    expect(told[0]).toContain(row?.id)
  },
)

test(
  'a rotation is refused while a live replica seals under another key, and begins once that replica has lapsed',
  TIME_LIMIT,
  async () => {
    const { gateway, answer, stage: alone } = crowded
    const refused = await answer
    expectProblem(refused, { status: 409, code: 'CONFLICT' })
    expect(refused.body.detail).toContain(idOf(OLD))
    expect((await encryption(gateway)).rotation).toBeNull()
    await beat(alone, '9 seconds')
    expect((await gateway.operator('POST', '/encryption/rotate')).status).toBe(202)
  },
)

test('no log contains a key', () => {
  const everything = said.map((read) => read()).join('\n')
  expect(everything).toContain('encryption keys rotated')
  for (const key of [OLD, NEW, NEWER, clientKey]) {
    for (const form of [key, Buffer.from(key, 'base64').toString('hex')])
      expect(everything).not.toContain(form)
  }
})
