import { afterAll, beforeAll, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { type Caller, createStage, type Stage, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { PLACES, register, startProcess } from './support.ts'

const LIMIT = 5
const DATABASES = 8
const SLOW_S = 0.05
/** The time after which a dead replica no longer counts, and a little more. */
const AT_LAST = { timeout: 60_000, interval: 50 }

let stage: Stage
let role: string
/** The SQLSTATE as the log writes it. The digits alone could be part of an id. */
const TOO_MANY_CONNECTIONS = /"code":"53300"/
const tenants: TestTenant[] = []
const loads: Load[] = []
const processes: { process: GatewayProcess; caller: Caller }[] = []

// More databases than connections, so that every request needs a connection that another one holds. PostgreSQL checks the limit:
// it refuses one connection more for the role (53300), whatever the gateways have counted.
beforeAll(async () => {
  stage = await createStage()
  const owner = await createRole()
  role = owner.name
  await query(superuserUrl(), `ALTER ROLE "${role}" CONNECTION LIMIT ${LIMIT}`)
  const { caller } = await join()
  for (let n = 0; n < DATABASES; n += 1) {
    const database = await createDatabase({ owner: role })
    const tenant = await caller.createTenant()
    await register({ caller, tenantId: tenant.id, url: urlFor({ role: owner, database }) })
    await query(
      superuserUrl(database),
      `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql
         AS 'BEGIN PERFORM pg_catalog.pg_sleep(${SLOW_S}); RETURN NEW; END';
       CREATE TRIGGER slow BEFORE INSERT ON places FOR EACH ROW EXECUTE FUNCTION slow()`,
    )
    tenants.push(tenant)
  }
}, 120_000)
afterAll(async () => {
  await Promise.all(loads.map((load) => load.stop()))
  await Promise.all(processes.map(({ process }) => process.end('SIGKILL')))
  await dropAll()
})

async function join() {
  const settings = { MAX_CONNECTIONS: String(LIMIT), ACQUIRE_TIMEOUT_MS: '30000' }
  const started = await startProcess(stage, settings)
  processes.push(started)
  await started.process.until(/"msg":"ready"/)
  return started
}

/** Two callers per tenant. Each sends one request after the other until it is stopped. */
class Load {
  readonly answers: { readonly status: number; readonly text: string }[] = []
  readonly #done: Promise<unknown>
  #stopping = false

  constructor(caller: Caller) {
    this.#done = Promise.all(
      tenants.flatMap((tenant) => [this.#work(caller, tenant), this.#work(caller, tenant)]),
    )
  }

  async reach(answers: number): Promise<void> {
    await expect.poll(() => this.answers.length).toBeGreaterThan(answers)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.#done
  }

  async #work(caller: Caller, { token }: TestTenant): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const { status, text } = await (n % 2 === 0
        ? caller.call('POST', PLACES, { token, body: { name: `Place ${n}` } })
        : caller.call('GET', `${PLACES}?limit=2`, { token }))
      this.answers.push({ status, text })
    }
  }
}

const maximaOf = async (callers: readonly Caller[]): Promise<number[]> => {
  const healths = await Promise.all(callers.map((caller) => caller.call('GET', '/health')))
  return healths.map(({ body }) => body.connections.max).toSorted()
}
const sessions = async () =>
  Number(
    (await query(superuserUrl(), 'SELECT count(*) AS n FROM pg_stat_activity WHERE usename = $1', [role]))[0]
      ?.n,
  )

test('connections never exceed the budget and no request fails, with many databases and while replicas start, stop and crash', async () => {
  const one = (processes[0] as { caller: Caller }).caller
  loads.push(new Load(one))
  await expect.poll(sessions).toBe(LIMIT)
  await loads[0]?.reach(40)

  const second = await join()
  const onSecond = new Load(second.caller)
  loads.push(onSecond)
  await onSecond.reach(40)
  await expect.poll(() => maximaOf([one, second.caller]), AT_LAST).toEqual([2, 3])
  await onSecond.stop()
  expect(await second.process.end('SIGTERM')).toBe(0)
  await expect.poll(() => maximaOf([one]), AT_LAST).toEqual([LIMIT])

  const third = await join()
  const onThird = new Load(third.caller)
  loads.push(onThird)
  await onThird.reach(40)
  await onThird.stop()
  await third.process.end('SIGKILL')
  await expect.poll(() => maximaOf([one]), AT_LAST).toEqual([LIMIT])
  await loads[0]?.reach(150)
  await loads[0]?.stop()

  for (const { answers } of loads)
    expect(answers.filter(({ status }) => status !== 200 && status !== 201)).toEqual([])
  for (const { process } of processes) expect(process.stdout).not.toMatch(TOO_MANY_CONNECTIONS)
})
