import { setTimeout as sleep } from 'node:timers/promises'
import { asSuperuser, makeDatabase } from '../stage.ts'
import { Load } from './caller.ts'
import { type BenchTenant, furnish, ownTenant, PLACES, type Stage, sharedTenant } from './stage.ts'

const ANSWERS = 1_000_000
const SHARED = 12
const OWN = 8
const ROWS = 5
const CALLERS = 48
const KILL_EVERY_MS = 1_000

/**
 * Every answer is looked at: each row in it must carry the code of the tenant whose token was shown. Meanwhile pools are
 * evicted (there are fewer than are wanted) and connections killed.
 */
export async function foreignRows(stage: Stage): Promise<readonly string[]> {
  const settings = { MAX_POOLS: '8', MAX_CONNECTIONS: '40', ACQUIRE_TIMEOUT_MS: '60000' }
  const houses = [await stage.open(settings), await stage.open(settings)]
  const [house] = houses as [(typeof houses)[number]]
  const tenants: BenchTenant[] = []
  for (let n = 0; n < SHARED; n += 1) tenants.push(await sharedTenant(house, `shared-${n}-t`))
  for (let n = 0; n < OWN; n += 1) {
    const url = await makeDatabase(stage.own, `own_${n}`)
    tenants.push(await ownTenant(house, { code: `own-${n}-t`, url }))
  }
  for (const tenant of tenants) await furnish(house, tenant, ROWS)
  const tally = { answers: 0, rows: 0, foreign: 0, refused: 0, unread: 0 }
  const load = new Load(CALLERS, 0, async (n) => {
    const { token, code } = tenants[(n * 7) % tenants.length] as BenchTenant
    const { caller } = houses[n % houses.length] as (typeof houses)[number]
    const answer = await caller.ask('GET', `${PLACES}?limit=${ROWS}`, { token })
    if (answer.status === 200) look(tally, answer.text, code)
    else if (answer.status === 503) tally.refused += 1
    else tally.unread += 1
    return { ...answer, text: '' }
  })
  while (tally.answers < ANSWERS) {
    await killSome(stage)
    await sleep(KILL_EVERY_MS)
    load.answers.length = 0
    process.stderr.write(`\r  ${tally.answers} answers, ${tally.rows} rows, ${tally.foreign} foreign `)
  }
  await load.stop()
  return [
    `${tally.answers} answers of ${tenants.length} tenants through 2 gateways with ${settings.MAX_POOLS} pools each, connections killed every second: ${tally.rows} rows, ${tally.foreign} foreign; ${tally.refused} answered 503, ${tally.unread} otherwise`,
  ]
}

function look(tally: { answers: number; rows: number; foreign: number }, text: string, code: string): void {
  const { data } = JSON.parse(text) as { data: { name: string }[] }
  tally.answers += 1
  tally.rows += data.length
  for (const { name } of data) if (!name.startsWith(`${code} `)) tally.foreign += 1
}

async function killSome({ central, own }: Stage): Promise<void> {
  for (const server of [central, own]) {
    await asSuperuser(server, 'postgres', (client) =>
      client.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
          WHERE (usename = 'serves_shared' OR usename LIKE 'serves\\_own%') AND random() < 0.3`,
      ),
    )
  }
}
