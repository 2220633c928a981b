import { execFile } from 'node:child_process'
import { access, constants, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { FIND_TEXT } from '../baselines/statements.ts'
import { readClocks } from '../load/cpu.ts'
import type { Cell } from '../measure/group.ts'
import { median } from '../statistics.ts'
import { runRawStatements } from './raw-statements.ts'
import type { SharedStage } from './shared-stage.ts'

const SECONDS = 2
/** Different rows that one transaction of pgbench reads. */
const ROWS = 50
const run = promisify(execFile)

interface Bare {
  readonly perSecond: number
  readonly statements: number
}

/**
 * Holds the hand-written point read against the same statement without HTTP and without a driver: a baseline whose statement
 * costs PostgreSQL clearly more is badly written. pgbench sends it, or a loop of ours, because the embedded PostgreSQL has no pgbench.
 */
export async function comparePgbench(
  stage: SharedStage,
  clients: number,
  cells: readonly Cell[],
): Promise<string[]> {
  const program = await findPgbench()
  const clocks = { pid: process.pid, postmasters: stage.postmasters }
  const before = readClocks(clocks)
  const { perSecond, statements } =
    program === null ? await runLoop(stage, clients) : await runPgbench(program, stage, clients)
  const after = readClocks(clocks)
  const spent = after.postgres === null ? Number.NaN : after.postgres - (before.postgres ?? Number.NaN)
  const samples = cells.find(({ service }) => service === 'hand-written')?.samples ?? []
  const rate = median(samples.map((sample) => sample.perSecond))
  const cpu = median(samples.map((sample) => sample.postgresCpu ?? Number.NaN))
  const name =
    program === null ? 'bare loop of a prepared statement (no pgbench on PATH)' : 'pgbench -M prepared'
  return [
    `${name}, ${clients} clients, the hand-written statement: ${perSecond.toFixed(0)} a second, ` +
      `PostgreSQL ${(spent / statements).toFixed(0)} µs each (hand-written: ${rate.toFixed(0)} a second, ${cpu.toFixed(0)} µs)`,
  ]
}

async function findPgbench(): Promise<string | null> {
  for (const folder of (process.env.PATH ?? '').split(delimiter)) {
    const path = join(folder, 'pgbench')
    const isThere = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    )
    if (isThere) return path
  }
  return null
}

async function runLoop({ ownerUrl, tenant, placeIds }: SharedStage, clients: number): Promise<Bare> {
  const values = placeIds.map((id) => [tenant.id, id])
  const statements = await runRawStatements({
    url: ownerUrl,
    text: FIND_TEXT,
    values,
    clients,
    seconds: SECONDS,
  })
  return { perSecond: statements / SECONDS, statements }
}

async function runPgbench(
  program: string,
  { ownerUrl, tenant, placeIds }: SharedStage,
  clients: number,
): Promise<Bare> {
  const folder = await mkdtemp(join(tmpdir(), 'freehold-bench-'))
  try {
    const script = join(folder, 'find.sql')
    const ids = placeIds.slice(0, ROWS)
    const statement = FIND_TEXT.replace('$1', ':tenant')
    await writeFile(script, ids.map((_, i) => `${statement.replace('$2', `:id${i}`)};\n`).join(''))
    const variables = [`tenant=${tenant.id}`, ...ids.map((id, i) => `id${i}=${id}`)].flatMap((each) => [
      '-D',
      each,
    ])
    const options = ['-n', '-M', 'prepared', '-c', String(clients), '-T', String(SECONDS), '-f', script]
    const { hostname, port, username, password, pathname } = new URL(ownerUrl)
    const target = { PGHOST: hostname, PGPORT: port, PGUSER: username, PGPASSWORD: password }
    const { stdout } = await run(program, [...options, ...variables, pathname.slice(1)], {
      env: { PATH: process.env.PATH, ...target },
    })
    const transactions = Number(/transactions actually processed: (\d+)/.exec(stdout)?.[1])
    const perSecond = Number(/^tps = ([\d.]+)/m.exec(stdout)?.[1]) * ids.length
    return { perSecond, statements: transactions * ids.length }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
