import { setTimeout as sleep } from 'node:timers/promises'
import { asSuperuser, makeDatabase } from '../stage.ts'
import { quantile } from '../statistics.ts'
import { Load } from './caller.ts'
import { type BenchTenant, ownTenant, PLACES, type Stage, slowDown } from './stage.ts'

const DATABASES = 50
const BUDGET = 5
const LONG_S = 0.1
const DURATION_MS = 20_000

/** Many more databases than connections, and slow statements. PostgreSQL itself refuses a connection above the limit. */
export async function tightBudget(stage: Stage): Promise<readonly string[]> {
  const house = await stage.open({ MAX_CONNECTIONS: String(BUDGET), ACQUIRE_TIMEOUT_MS: '60000' })
  const first = await makeDatabase(stage.own, 'tight')
  await asSuperuser(stage.own, 'postgres', (client) =>
    client.query(`ALTER ROLE serves_tight CONNECTION LIMIT ${BUDGET}`),
  )
  const tenants: BenchTenant[] = []
  for (let n = 0; n < DATABASES; n += 1) {
    const database = `tight_${n}`
    await asSuperuser(stage.own, 'postgres', (client) =>
      client.query(`CREATE DATABASE ${database} OWNER serves_tight TEMPLATE template0`),
    )
    const url = first.replace(/\/tight$/, `/${database}`)
    tenants.push(await ownTenant(house, { code: `tight-${n}`, url }))
    await slowDown(stage.own, database, LONG_S)
  }
  let asked = 0
  const load = new Load(2 * DATABASES, 0, () => {
    const { token } = tenants[asked++ % DATABASES] as BenchTenant
    return asked % 2 === 0
      ? house.caller.ask('GET', `${PLACES}?limit=5`, { token })
      : house.caller.ask('POST', PLACES, { token, body: { name: 'long' } })
  })
  const most = await mostSessions(stage)
  const answers = await load.stop()
  const failed = answers.filter(({ status }) => status !== 200 && status !== 201).length
  const p99 = quantile(
    answers.map(({ tookMs }) => tookMs),
    0.99,
  )
  return [
    `${DATABASES} databases on ${BUDGET} connections, inserts of ${LONG_S * 1_000} ms: at most ${most} connections seen, ${failed} of ${answers.length} requests failed (the role may have ${BUDGET}), p99 ${(p99 / 1_000).toFixed(1)} s`,
  ]
}

async function mostSessions({ own }: Stage): Promise<number> {
  return asSuperuser(own, 'postgres', async (client) => {
    let most = 0
    for (const end = performance.now() + DURATION_MS; performance.now() < end; await sleep(2)) {
      const { rows } = await client.query(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'serves_tight'",
      )
      most = Math.max(most, rows[0].n as number)
    }
    return most
  })
}
