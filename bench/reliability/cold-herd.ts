import { asSuperuser, makeDatabase } from '../stage.ts'
import { furnish, ownTenant, PLACES, type Stage } from './stage.ts'

const HERD = 500

/** Many first requests of one tenant at once, to a gateway that has just started. */
export async function coldHerd(stage: Stage): Promise<readonly string[]> {
  const first = await stage.open()
  const url = await makeDatabase(stage.own, 'herd')
  const tenant = await ownTenant(first, { code: 'herd', url })
  await furnish(first, tenant, 20)
  await first.process.stop()
  const house = await stage.open({ HEALTH_CHECK_CRON: '0 0 1 1 *' })
  const { token } = tenant
  const ask = () => house.caller.ask('GET', `${PLACES}?limit=20`, { token })
  const answers = await Promise.all(Array.from({ length: HERD }, ask))
  const failed = answers.filter(({ status }) => status !== 200).length
  const { text } = await house.caller.ask('GET', '/health')
  const { activePools } = JSON.parse(text) as { activePools: number }
  const { rows } = await asSuperuser(stage.own, 'herd', (client) =>
    client.query("SELECT count(*) FROM pg_stat_activity WHERE datname = 'herd' AND usename <> current_user"),
  )
  // The report has just asked the shared database, too.
  return [
    `${HERD} first requests: ${failed} failed, ${activePools - 1} pool for the tenant, ${rows[0]?.count} connections, slowest ${Math.max(...answers.map(({ tookMs }) => tookMs)).toFixed(0)} ms`,
  ]
}
