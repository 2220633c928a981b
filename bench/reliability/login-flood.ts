import { setTimeout as sleep } from 'node:timers/promises'
import { latencyQuantiles } from '../statistics.ts'
import { Load } from './caller.ts'
import { furnish, PLACES, type Stage, sharedTenant } from './stage.ts'

const ROUND_MS = 8_000
const FLOOD = 50

/** A flood of wrong passwords at one tenant, and the delay of another tenant's requests. */
export async function loginFlood(stage: Stage): Promise<readonly string[]> {
  const house = await stage.open({ LOGIN_RATE_LIMIT_PER_MINUTE: '1000000000' })
  const [flooded, other] = [await sharedTenant(house, 'flooded'), await sharedTenant(house, 'other')]
  await furnish(house, other, 20)
  const measure = async () => {
    const load = new Load(8, 10, () => house.caller.ask('GET', `${PLACES}?limit=20`, { token: other.token }))
    await sleep(ROUND_MS)
    const answers = await load.stop()
    const failed = answers.filter(({ status }) => status !== 200).length
    return { failed, ...latencyQuantiles(answers.map(({ tookMs }) => tookMs)) }
  }
  const before = await measure()
  const flood = new Load(FLOOD, 0, (n) => {
    const body = { tenantCode: flooded.code, email: `guess-${n}@flooded.example`, password: 'wrong' }
    return house.caller.ask('POST', '/api/v1/auth/login', { body })
  })
  const during = await measure()
  const tried = (await flood.stop()).length
  return [
    `${FLOOD} at a time tried ${tried} passwords in ${ROUND_MS / 1_000} s; another tenant's list: p50 ${before.p50.toFixed(1)} → ${during.p50.toFixed(1)} ms, p99 ${before.p99.toFixed(1)} → ${during.p99.toFixed(1)} ms, ${during.failed} failed`,
  ]
}
