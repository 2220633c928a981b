import { afterAll, describe, expect, test } from 'vitest'
import { createDatabase, createRole, dropAll, urlFor } from '../support/database.ts'
import { type Caller, createStage, startGateway, type TestTenant } from '../support/gateway.ts'
import type { GatewayProcess } from '../support/gateway-process.ts'
import { findPoolers, Pooler, type PoolerBinary } from '../support/pgbouncer.ts'
import { register, startProcess } from './support.ts'

const API = '/api/v1'
const KINDS = ['places', 'owners', 'contacts', 'lessees'] as const
const ROUNDS = 25
/** Settings that the gateway sends when it connects. The pooler must accept them, and drops them. */
const IGNORED = 'options,statement_timeout,idle_in_transaction_session_timeout,extra_float_digits'
const processes: GatewayProcess[] = []
const poolers: Pooler[] = []

afterAll(async () => {
  await Promise.all(processes.map((process) => process.end('SIGKILL')))
  await Promise.all(poolers.map((pooler) => pooler.stop()))
  await dropAll()
})

const binaries = findPoolers()
/** Without such a binary the test is skipped under this name, and counted. */
const KINDS_OF_POOLER = [
  { name: 'before 1.21', binary: binaries.find(({ keepsStatements }) => !keepsStatements) },
  { name: 'from 1.21 on', binary: binaries.find(({ keepsStatements }) => keepsStatements) },
]

/** Two gateways that share each server connection, and a tenant with a dedicated database behind them. */
async function twoGateways(binary: PoolerBinary) {
  const stage = await createStage()
  const role = await createRole()
  const url = urlFor({ role, database: await createDatabase({ owner: role.name }) })
  const options = { mode: 'transaction', urls: [url], poolSize: 2 } as const
  const pooler = await Pooler.start(binary, {
    ...options,
    settings: {
      ignore_startup_parameters: IGNORED,
      ...(binary.keepsStatements && { max_prepared_statements: 0 }),
    },
  })
  poolers.push(pooler)
  // A third gateway creates them, so that the test decides the first requests of the two.
  const maker = await startGateway(stage)
  const tenant = await maker.createTenant()
  await register({ caller: maker, tenantId: tenant.id, url: pooler.through(url) })
  await fill(maker, tenant)
  await maker.close()
  const [one, other] = await Promise.all([startProcess(stage), startProcess(stage)])
  processes.push(one.process, other.process)
  return { one: one.caller, other: other.caller, tenant }
}

async function fill(caller: Caller, { token }: TestTenant): Promise<void> {
  for (const kind of KINDS) {
    const more = kind === 'places' || kind === 'contacts' ? {} : { kind: 'person' }
    const body = { name: `of ${kind}`, ...more }
    const { status, text } = await caller.call('POST', `${API}/${kind}`, { token, body })
    expect(status, text).toBe(201)
  }
}

/** The rows that do not belong to the requested collection, and the number of requests that were answered. */
async function readAll(caller: Caller, { token }: TestTenant, kinds: readonly string[]) {
  const foreign: string[] = []
  let answered = 0
  for (const kind of kinds) {
    const { status, body } = await caller.call('GET', `${API}/${kind}`, { token })
    if (status !== 200) continue
    answered += 1
    for (const { name } of body.data) if (name !== `of ${kind}`) foreign.push(`${name} in ${kind}`)
  }
  return { foreign, answered }
}

describe.each(KINDS_OF_POOLER)('behind PgBouncer $name in transaction mode', ({ binary }) => {
  test.skipIf(binary === undefined)(
    'two gateways whose first reads differ in order never run each other’s statements',
    async () => {
      const { one, other, tenant } = await twoGateways(binary as PoolerBinary)
      const reads = async (caller: Caller, order: readonly string[]) => {
        const rounds: Awaited<ReturnType<typeof readAll>>[] = []
        for (let round = 0; round < ROUNDS; round += 1) rounds.push(await readAll(caller, tenant, order))
        return rounds
      }
      const backwards = KINDS.toReversed()
      const readers = [reads(one, KINDS), reads(other, backwards), reads(one, KINDS), reads(other, backwards)]
      const rounds = (await Promise.all(readers)).flat()
      expect(rounds.flatMap(({ foreign }) => foreign)).toEqual([])
      const answered = rounds.reduce((sum, round) => sum + round.answered, 0)
      expect(answered).toBe(4 * ROUNDS * KINDS.length)
    },
  )
})
