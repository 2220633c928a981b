import { asSuperuser } from '../stage.ts'
import { latencyQuantiles } from '../statistics.ts'
import { type House, PLACES, type Stage, sharedTenant } from './stage.ts'

const TIMES = 200
const TIMES_UNHEARD = 20

/** The time from the operator's request until both replicas refuse the tenant, with notifications and with killed listeners. */
export async function suspension(stage: Stage): Promise<readonly string[]> {
  const houses = [await stage.open(), await stage.open()] as const
  const tenant = await sharedTenant(houses[0], 'suspended')
  const suspend = async (status: string) => {
    const { text, tookMs } = await houses[0].caller.ask('PATCH', `/api/v1/tenants/${tenant.id}`, {
      token: stage.operatorToken,
      body: { status },
    })
    const { effective } = JSON.parse(text) as { effective: { replicas: number; confirmed: number } }
    if (effective.replicas !== 2 || effective.confirmed !== 2) throw new Error(`not effective: ${text}`)
    return tookMs
  }
  const round = async () => {
    const tookMs = await suspend('INACTIVE')
    await expectRefused(houses, tenant.token)
    await suspend('ACTIVE')
    return tookMs
  }
  const heard: number[] = []
  for (let n = 0; n < TIMES; n += 1) heard.push(await round())
  const unheard: number[] = []
  for (let n = 0; n < TIMES_UNHEARD; n += 1) {
    await killListeners(stage)
    unheard.push(await round())
  }
  const { p50, p99 } = latencyQuantiles(heard)
  return [
    `effective on two replicas: p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms, slowest ${Math.max(...heard).toFixed(0)} ms of ${TIMES}`,
    `with the LISTEN backends killed before each: slowest ${Math.max(...unheard).toFixed(0)} ms of ${TIMES_UNHEARD}`,
  ]
}

async function expectRefused(houses: readonly House[], token: string): Promise<void> {
  for (const { caller } of houses) {
    const { status } = await caller.ask('GET', PLACES, { token })
    if (status !== 404) throw new Error(`served after it was suspended: ${status}`)
  }
}

async function killListeners({ central }: Stage): Promise<void> {
  await asSuperuser(central, 'catalog', (client) =>
    client.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query ILIKE 'listen %'"),
  )
}
