import { vi } from 'vitest'
import type { Route } from '../../src/catalog/directory.ts'
import { PublicError } from '../../src/errors.ts'
import type { ServerAddress } from '../../src/lib/postgres/pg.ts'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { RouteChangedError } from '../../src/pools/route-changed.ts'
import { FakeNetwork, IDENTITY } from './fake-network.ts'

/** How large everything is. */
export interface Layout {
  readonly max: number
  readonly maxPerServer: number
  readonly maxPools: number
  readonly poolSize: number
  /** How many connections each tenant's pool has opened before it begins. */
  readonly warm: readonly number[]
}

/** How a request ends: well, with a changed route, or with a broken connection. */
export type Ending = 'ok' | 'changed' | 'broken'

/** A caller that asks for a connection and holds it until the test ends that. */
export interface Caller {
  readonly tenant: number
  readonly port: number
  readonly askedAt: number
  state: 'waiting' | 'holding' | 'done'
  /** `ok`, or the reason of the failure. */
  outcome: string
  isCutOff: () => boolean
  readonly end: (how: Ending) => void
}

/** Two of three tenants share a server. */
const PORTS = [1001, 1001, 1002] as const
export const TENANTS = [...PORTS.keys()]
/** Long enough that no caller times out while a test is looking. */
const ACQUIRE_TIMEOUT_MS = 20_000
const CONNECT_TIMEOUT_MS = 1_000
const IDLE_TIMEOUT_MS = 10_000

/** One turn of the event loop. After it, all work has got as far as it can by itself. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

/** Lets time pass on the fake clock. No timer fires before work that has begun already. */
export async function pass(ms: number): Promise<void> {
  await turn()
  for (let left = ms; left > 0; left -= 100) {
    vi.advanceTimersByTime(Math.min(100, left))
    await turn()
  }
}

/**
 * The pools of three tenants on a network whose other end is the test. pg, pg-pool and all our own code are real. Needs fake
 * timers.
 */
export class PoolWorld {
  readonly network = new FakeNetwork()
  readonly manager: PoolManager
  readonly callers: Caller[] = []
  readonly #layout: Layout
  readonly #versions = TENANTS.map(() => 1)
  #limits: { readonly max: number; readonly maxPerServer: number }
  /** True: a caller that gets a connection gives it back at once. */
  #isHurried = false

  private constructor(layout: Layout) {
    this.#layout = layout
    this.#limits = layout
    const { network } = this
    network.install()
    this.manager = new PoolManager({
      ...{ maxPools: layout.maxPools, maxConnections: layout.max },
      maxConnectionsPerServer: layout.maxPerServer,
      acquireTimeoutMs: ACQUIRE_TIMEOUT_MS,
      statementTimeoutMs: 5_000,
      shared: fakeAddress(PORTS[0]),
      sharedPoolSize: layout.poolSize,
      addressOf: ({ port }) => fakeAddress(port),
    })
  }

  static async open(layout: Partial<Layout>): Promise<PoolWorld> {
    const usual = { max: 8, maxPerServer: 8, maxPools: 10, poolSize: 4, warm: [] }
    const world = new PoolWorld({ ...usual, ...layout })
    await world.#warmUp()
    return world
  }

  /** Asks for a connection. */
  ask(tenant: number): Caller {
    const ending = Promise.withResolvers<Ending>()
    const caller: Caller = {
      ...{ tenant, port: portOf(tenant), askedAt: performance.now() },
      ...{ state: 'waiting', outcome: '', isCutOff: () => false, end: ending.resolve },
    }
    this.callers.push(caller)
    const hold = async (client: unknown) => {
      const { stream } = (client as { connection: { stream: { destroyed: boolean } } }).connection
      caller.state = 'holding'
      caller.isCutOff = () => stream.destroyed
      const how = this.#isHurried ? 'ok' : await ending.promise
      if (how === 'changed') throw new RouteChangedError()
      if (how === 'broken') throw new Error('broken')
    }
    const settle = (outcome: string) => Object.assign(caller, { state: 'done', outcome })
    this.manager
      .run(this.#routeOf(tenant), hold, (error) => error instanceof RouteChangedError)
      .then(
        () => settle('ok'),
        (error: unknown) => settle(error instanceof PublicError ? error.code : String(error)),
      )
    return caller
  }

  resize(limits: { readonly max: number; readonly maxPerServer: number }): void {
    this.#limits = limits
    this.manager.budget.resize(limits)
  }

  /** The tenant's route is dropped. If its entry was replaced, the new route leads to another database. */
  retire(tenant: number, isReplaced: boolean): void {
    const version = this.#versions[tenant] ?? 1
    if (isReplaced) this.#versions[tenant] = version + 1
    void this.manager.retireAllBut(`t${tenant}`, this.#routeOf(tenant).database)
  }

  in(state: Caller['state']): Caller[] {
    return this.callers.filter((caller) => caller.state === state)
  }

  /** How many connections the tenant can have at once when no other tenant wants any. */
  get capacity(): number {
    return Math.min(this.#limits.max, this.#limits.maxPerServer, this.#layout.poolSize)
  }

  /** From now on all servers answer, and all breakers are closed. No connection is given back. */
  async calm(): Promise<void> {
    Object.assign(this.network, { isUp: true, isPrompt: true, isDeaf: false })
    this.network.answerAll()
    for (let step = 0; step < 12; step += 1) {
      await turn()
      for (const tenant of TENANTS) this.#reach(tenant)
      await pass(200)
    }
  }

  /** Every caller that holds a connection, or gets one, gives it back. */
  async rush(): Promise<void> {
    this.#isHurried = true
    for (let step = 0; step < 60 && this.callers.some(({ state }) => state !== 'done'); step += 1) {
      for (const caller of this.in('holding')) caller.end('ok')
      await pass(step % 3 === 2 ? 100 : 0)
    }
    this.#isHurried = false
  }

  /** Callers that wait although pool, server and process have room. Unused connections count as room. */
  get stuck(): Caller[] {
    const { max, maxPerServer } = this.#limits
    const held = this.in('holding')
    const open = held.filter((caller) => !caller.isCutOff())
    return this.in('waiting').filter(
      ({ tenant, port }) =>
        open.length < max &&
        open.filter((caller) => caller.port === port).length < maxPerServer &&
        held.filter((caller) => caller.tenant === tenant).length < this.#layout.poolSize,
    )
  }

  /** True if all pools are closed a moment from now, and every socket with them. */
  async close(): Promise<boolean> {
    let isClosed = false
    void this.manager.close().then(() => {
      isClosed = true
    })
    await pass(100)
    return isClosed && this.network.lines.size === 0
  }

  async #warmUp(): Promise<void> {
    this.network.isPrompt = true
    for (const [tenant, connections] of this.#layout.warm.entries()) {
      for (let n = 0; n < connections; n += 1) this.ask(tenant)
    }
    await turn()
    for (const caller of this.in('holding')) caller.end('ok')
    await turn()
    this.network.isPrompt = false
  }

  #routeOf(tenant: number): Route {
    const version = this.#versions[tenant] ?? 1
    return fakeRoute({ tenant, version, port: portOf(tenant), poolSize: this.#layout.poolSize })
  }

  #reach(tenant: number): void {
    const rowVersion = this.#versions[tenant] ?? 1
    this.manager.answered({
      ...{ id: `d${tenant}`, rowVersion, host: '127.0.0.1', port: portOf(tenant) },
      ...IDENTITY,
    })
  }
}

function portOf(tenant: number): number {
  return PORTS[tenant] ?? 0
}

/** The route to a tenant's own database on a `FakeNetwork`. */
export function fakeRoute(at: { tenant: number; version: number; port: number; poolSize: number }): Route {
  const { tenant, version, port, poolSize } = at
  const database = {
    ...{ id: `d${tenant}`, version, status: 'active', host: '127.0.0.1', port, poolSize },
    ...{ idleTimeoutMs: IDLE_TIMEOUT_MS, connectTimeoutMs: CONNECT_TIMEOUT_MS, ...IDENTITY },
  }
  return { tenantId: `t${tenant}`, placement: 'dedicated', database } as unknown as Route
}

export function fakeAddress(port: number): ServerAddress {
  return {
    ...{ host: '127.0.0.1', port, database: 'd', user: 'u', password: async () => 'p' },
    ...{ sslMode: 'disable', caCertificate: null, applicationName: 'test', lookup: null },
    expected: () => IDENTITY,
  }
}
