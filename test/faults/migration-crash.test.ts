import { Client } from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { createDatabase, createRole, dropAll, query, superuserUrl, urlFor } from '../support/database.ts'
import { Caller, createStage, environmentOf, type Stage } from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'

/** Processes start and end, and the machine may be busy. */
const TIME_LIMIT = { timeout: 90_000 }
const SOON = { timeout: 60_000, interval: 50 }

let stage: Stage
beforeAll(async () => {
  stage = await createStage()
})
afterAll(dropAll)

async function launch() {
  const process = new GatewayProcess({ env: environmentOf(stage) })
  onTestFinished(async () => void (await process.end('SIGKILL')))
  return { process, caller: new Caller(await process.url(), stage.operatorToken) }
}

/** An open transaction that creates a table of this name. A migration that creates the same table waits for its end. */
async function holdName(database: string, name: string): Promise<Client> {
  const client = new Client({ connectionString: superuserUrl(database) })
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end())
  await client.query(`BEGIN; CREATE TABLE public.${name} (n int)`)
  return client
}

test(
  'another gateway continues a migration whose gateway was killed, and applies nothing twice',
  TIME_LIMIT,
  async () => {
    const [victim, other] = [await launch(), await launch()]
    const role = await createRole()
    const database = await createDatabase({ owner: role.name })
    const holder = await holdName(database, 'contacts')
    const { id } = await victim.caller.createTenant()
    const connectionString = urlFor({ role, database })
    const body = { connectionString }
    expect((await victim.caller.operator('PUT', `/tenants/${id}/database`, body)).status).toBe(202)

    const catalog = superuserUrl(new URL(stage.catalogUrl).pathname.slice(1))
    const job = async () => {
      const [row] = await query<{ status: string; attempts: number; pid: number | null; leased_by: string }>(
        catalog,
        "SELECT status, attempts, leased_by FROM jobs WHERE kind = 'migration'",
      )
      return row
    }
    const blocked = () =>
      query(superuserUrl(), 'SELECT FROM pg_stat_activity WHERE $1::int = ANY (pg_blocking_pids(pid))', [
        Reflect.get(holder, 'processID'),
      ])
    await expect.poll(blocked, SOON).not.toEqual([])
    const before = await job()
    const isVictims = victim.process.stdout.includes(before?.leased_by ?? '')
    const [killed, heir] = isVictims ? [victim, other] : [other, victim]
    expect(await killed.process.end('SIGKILL')).toBe('SIGKILL')
    await holder.query('ROLLBACK')

    const state = async () => (await heir.caller.operator('GET', `/tenants/${id}/database`)).body
    expect((await state()).status).toBe('pending_validation')
    await expect
      .poll(state, SOON)
      .toMatchObject({ status: 'active', placement: 'dedicated', lastError: null })
    const after = await job()
    expect(after?.status).toBe('succeeded')
    expect(after?.attempts).toBeGreaterThan(before?.attempts ?? 0)
    const journal = await query(
      superuserUrl(database),
      'SELECT lineage, id, count(*)::int AS times FROM freehold_migrations GROUP BY 1, 2 HAVING count(*) > 1',
    )
    expect(journal).toEqual([])
  },
)
