import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { type Answer, type Caller, createStage, type Stage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { withClient } from '../support/tenant-database.ts'
import { Wiretap } from '../support/wiretap.ts'
import { makePlace, PLACES, register, startProcess } from './support.ts'

const SLOW = 60_000
const SOON_MS = 20_000
const EVERYWHERE = { replicas: 2, confirmed: 2 }

let stage: Stage
let processes: { process: GatewayProcess; caller: Caller }[]
let one: Caller
let other: Caller

beforeAll(async () => {
  stage = await createStage()
  // No health rounds, so that only statements of requests are counted.
  const settings = { HEALTH_CHECK_CRON: '0 0 1 1 *' }
  // They start one after the other, because the first one applies the migrations.
  processes = [await startProcess(stage, settings), await startProcess(stage, settings)]
  ;[one, other] = processes.map(({ caller }) => caller) as [Caller, Caller]
}, SLOW)
afterAll(async () => {
  for (const { process } of processes ?? []) await process.end()
  await dropAll()
})

interface Deed {
  readonly kind: 'read' | 'write'
  readonly begunAt: number
  readonly endedAt: number
  readonly status: number
  readonly text: string
  /** The ids of the written rows. */
  readonly id: string | null
}

/** Sends requests through both gateways without a pause, and records the outcome of each. */
class Load {
  readonly history: Deed[] = []
  readonly #workers: Promise<void>[]
  #stopping = false

  constructor({ token }: TestTenant, write: (n: string) => { path: string; body: object }) {
    const read = (caller: Caller) => this.#work('read', () => caller.call('GET', PLACES, { token }))
    const add = (caller: Caller, name: string, keyed: boolean) =>
      this.#work('write', (n) => {
        const { path, body } = write(`${name}-${n}`)
        // With a key, the request is a transaction of several statements. Without one, it is a single statement.
        const headers: Record<string, string> = keyed ? { 'idempotency-key': `${name}-${n}` } : {}
        return caller.call('POST', path, { token, headers, body })
      })
    this.#workers = [
      ...[read(one), read(other), add(one, 'a', false), add(other, 'b', false)],
      ...[add(one, 'c', true), add(other, 'd', true)],
    ]
  }

  /** Waits until this many more requests of each kind have been answered. */
  async more(count: number): Promise<void> {
    const from = this.history.length
    const since = (kind: string) => this.history.slice(from).filter((deed) => deed.kind === kind).length
    const fewest = () => Math.min(since('read'), since('write'))
    await expect.poll(fewest, { timeout: SOON_MS, interval: 5 }).toBeGreaterThanOrEqual(count)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#workers)
  }

  /** The ids of all written rows, as the callers got them. */
  get written(): string[] {
    return this.history.flatMap(({ status, id }) => (status === 201 && id !== null ? [id] : []))
  }

  get failed(): Deed[] {
    return this.history.filter(({ status }) => status >= 300)
  }

  async #work(kind: Deed['kind'], ask: (n: number) => Promise<Answer<{ id?: string }>>): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const begunAt = performance.now()
      const { status, text, body } = await ask(n)
      const deed = { kind, begunAt, endedAt: performance.now(), status, text, id: body.id ?? null }
      this.history.push(deed)
    }
  }
}

const place = (name: string) => ({ path: PLACES, body: { name } })

async function idsIn(database: string, table: string): Promise<unknown[]> {
  const rows = await query(superuserUrl(database), `SELECT id::text FROM ${table}`)
  return rows.map(({ id }) => id)
}

/** Registers another connection string and waits until every gateway uses it, as the handbook says. */
async function change(tenant: TestTenant, url: string): Promise<Record<string, unknown>> {
  const path = `/tenants/${tenant.id}/database`
  const { status, body } = await one.operator('PUT', path, { connectionString: url })
  expect(status).toBe(202)
  expect(body.effective).toMatchObject({ replicas: 2 })
  const state = async () => (await other.operator('GET', path)).body
  const brief = async () => {
    const { status, candidate, effective, port } = await state()
    return { status, candidate, effective, port }
  }
  const done = { status: 'active', candidate: null, effective: EVERYWHERE, port: Number(new URL(url).port) }
  await expect.poll(brief, { timeout: SOON_MS, interval: 5 }).toEqual(done)
  return state()
}

describe('a new connection string, registered under load', () => {
  let before: Wiretap
  let after: Wiretap
  beforeAll(async () => {
    before = await Wiretap.start(superuserUrl())
    after = await Wiretap.start(superuserUrl())
  })
  afterAll(() => {
    before?.close()
    after?.close()
  })

  const through = (tap: Wiretap, url: string) => {
    const changed = new URL(url)
    changed.port = new URL(tap.url).port
    return changed.href
  }

  test(
    'for the same database: the old one carries no statement once the new one is effective, and nothing was lost',
    async () => {
      const tenant = await one.createTenant()
      const role = await createRole()
      const database = await createDatabase({ owner: role.name })
      const successor = await createRole()
      await query(superuserUrl(), `GRANT "${role.name}" TO "${successor.name}"`)
      await query(superuserUrl(), `ALTER ROLE "${successor.name}" SET role = "${role.name}"`)
      await register({
        caller: one,
        tenantId: tenant.id,
        url: through(before, urlFor({ role, database })),
      })
      const load = new Load(tenant, place)
      await load.more(20)
      const said = before.executions
      expect(said).toBeGreaterThan(20)
      const state = await change(tenant, through(after, urlFor({ role: successor, database })))
      expect(state.user).toBe(successor.name)
      const atTheBarrier = before.executions
      await load.more(50)
      await load.stop()
      expect(before.executions).toBe(atTheBarrier)
      expect(load.failed).toEqual([])
      expect((await idsIn(database, 'places')).toSorted()).toEqual(load.written.toSorted())
      expect(load.written.length).toBeGreaterThan(50)
    },
    SLOW,
  )

  test(
    'for another database: requests wait for the move and continue there, and nothing was lost',
    async () => {
      const tenant = await one.createTenant()
      const role = await createRole()
      const [left, entered] = [
        await createDatabase({ owner: role.name }),
        await createDatabase({ owner: role.name }),
      ]
      await register({
        caller: one,
        tenantId: tenant.id,
        url: through(before, urlFor({ role, database: left })),
      })
      // A tenant that has more than users and roles stays where it is.
      const load = new Load(tenant, (name) => ({
        path: '/api/v1/roles',
        body: { name, permissions: ['properties:read'] },
      }))
      await load.more(10)
      const state = await change(tenant, through(after, urlFor({ role, database: entered })))
      expect(state).toMatchObject({ database: entered, placement: 'dedicated', moveRequired: false })
      const atTheBarrier = before.named
      await load.more(30)
      await load.stop()
      expect(atTheBarrier).toBeGreaterThan(10)
      expect(before.named).toBe(atTheBarrier)
      expect(load.failed).toEqual([])
      const rows = await idsIn(entered, 'roles')
      expect(rows.filter((id) => load.written.includes(String(id)))).toHaveLength(load.written.length)
      expect(new Set(load.written).size).toBe(load.written.length)
      expect(await idsIn(left, 'roles')).toEqual([])
    },
    SLOW,
  )
})

describe('a database that is removed', () => {
  test('is removed on every gateway when the answer arrives', async () => {
    const tenant = await one.createTenant()
    const role = await createRole()
    const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
    await register({ caller: one, tenantId: tenant.id, url })
    const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
    const removing = await withClient(catalog, async (client) => {
      // No replica can record how far it has read.
      await client.query('BEGIN')
      await client.query('SELECT FROM replicas FOR UPDATE')
      const answer = other.operator('DELETE', `/tenants/${tenant.id}/database`)
      expect(await Promise.race([answer, delay(500, 'not yet')])).toBe('not yet')
      await client.query('COMMIT')
      return { answer }
    })
    expect((await removing.answer).status).toBe(204)
    const lags = 'applied_seq < (SELECT max(seq) FROM catalog_changes WHERE tenant_id = $1)'
    expect(await query(catalog, `SELECT FROM replicas WHERE ${lags}`, [tenant.id])).toEqual([])
    for (const caller of [one, other]) {
      expect((await caller.call('GET', PLACES, { token: tenant.token })).status).toBe(200)
    }
  })
})

describe('a tenant that is made INACTIVE under load', () => {
  test(
    'is served by no replica once the answer says so, and by all replicas after it is ACTIVE again',
    async () => {
      const tenant = await one.createTenant()
      await makePlace(other, tenant, 'Kept')
      const load = new Load(tenant, place)
      await load.more(20)
      const path = `/tenants/${tenant.id}`
      const { body } = await one.operator('PATCH', path, { status: 'INACTIVE' })
      const answeredAt = performance.now()
      expect(body.effective).toEqual(EVERYWHERE)
      await load.more(20)
      const seen = load.history.filter(({ begunAt }) => begunAt > answeredAt)
      const opened = await other.operator('PATCH', path, { status: 'ACTIVE' })
      const reopenedAt = performance.now()
      expect(opened.body.effective).toEqual(EVERYWHERE)
      await load.more(20)
      await load.stop()
      expect(seen.length).toBeGreaterThan(20)
      expect(seen.filter(({ status, text }) => status !== 404 || !text.includes('TENANT_NOT_FOUND'))).toEqual(
        [],
      )
      const later = load.history.filter(({ begunAt }) => begunAt > reopenedAt)
      expect(later.length).toBeGreaterThan(20)
      expect(later.filter(({ status }) => status >= 300)).toEqual([])
      const rows = await query(
        superuserUrl(new URL(stage.sharedUrl).pathname.slice(1)),
        'SELECT id::text FROM places WHERE tenant_id = $1',
        [tenant.id],
      )
      expect(load.written.filter((id) => !rows.some((row) => row.id === id))).toEqual([])
      expect(rows).toHaveLength(load.written.length + 1)
    },
    SLOW,
  )
})
