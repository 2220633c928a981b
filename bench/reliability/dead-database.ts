import { setTimeout as sleep } from 'node:timers/promises'
import { TcpProxy } from '../../test/support/tcp-proxy.ts'
import { makeDatabase } from '../stage.ts'
import { median, quantile } from '../statistics.ts'
import { type Answer, Load } from './caller.ts'
import { furnish, ownTenant, PLACES, type Stage, sharedTenant } from './stage.ts'

const ROUNDS = 3
const ROUND_MS = 6_000
const SETTLING_MS = 2_000
const DEAD_MS = 30_000
const SAMPLE_MS = 50

/** How often the gateway tries to connect to a dead database, and the delay of other tenants' requests. */
export async function deadDatabase(stage: Stage): Promise<readonly string[]> {
  // No health rounds: each would try to connect once.
  const house = await stage.open({ HEALTH_CHECK_CRON: '0 0 1 1 *' })
  const url = await makeDatabase(stage.own, 'mortal')
  const proxy = await TcpProxy.start({ port: stage.own.port })
  const mortal = await ownTenant(house, { code: 'mortal', url: proxy.urlFor(url) })
  const other = await sharedTenant(house, 'other')
  for (const tenant of [mortal, other]) await furnish(house, tenant, 20)
  const list = (token: string) => () => house.caller.ask('GET', `${PLACES}?limit=20`, { token })
  const patients = new Load(10, 10, list(mortal.token))
  const p99s: Record<'alive' | 'dead', number[]> = { alive: [], dead: [] }
  for (let round = 0; round < ROUNDS; round += 1) {
    p99s.alive.push(await p99Of(list(other.token)))
    await stage.own.stop()
    await sleep(SETTLING_MS)
    p99s.dead.push(await p99Of(list(other.token)))
    await stage.own.start()
    await sleep(SETTLING_MS)
  }
  await stage.own.stop()
  const attempts = await attemptsPerSecond(proxy)
  await stage.own.start()
  await patients.stop()
  await proxy.close()
  const [alive, dead] = [median(p99s.alive), median(p99s.dead)]
  return [
    `attempts to connect, in any second after the first: at most ${attempts.most}; ${attempts.mean.toFixed(2)} on average over ${DEAD_MS / 1_000} s`,
    `p99 of another tenant's list: ${alive.toFixed(2)} ms while it lives, ${dead.toFixed(2)} ms while it is dead, ratio ${(dead / alive).toFixed(2)} (medians of ${ROUNDS} rounds)`,
  ]
}

async function p99Of(ask: () => Promise<Answer>): Promise<number> {
  const load = new Load(8, 5, ask)
  await sleep(ROUND_MS)
  const answers = await load.stop()
  if (answers.some(({ status }) => status !== 200)) throw new Error('another tenant was not served')
  return quantile(
    answers.map(({ tookMs }) => tookMs),
    0.99,
  )
}

async function attemptsPerSecond(proxy: TcpProxy): Promise<{ most: number; mean: number }> {
  const counts: number[] = []
  for (let at = 0; at < DEAD_MS; at += SAMPLE_MS) {
    counts.push(proxy.accepted)
    await sleep(SAMPLE_MS)
  }
  const window = 1_000 / SAMPLE_MS
  const windows = counts.slice(window, -window).map((count, i) => (counts[i + 2 * window] ?? count) - count)
  const after = (counts.at(-1) ?? 0) - (counts[window] ?? 0)
  return { most: Math.max(...windows), mean: after / (DEAD_MS / 1_000 - 1) }
}
