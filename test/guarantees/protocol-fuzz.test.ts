import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { GuardedClient } from '../../src/lib/postgres/guarded-client.ts'
import { clientConfig } from '../../src/lib/postgres/pg.ts'
import { dropAll } from '../support/database.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import { addressOf, createTenantDatabase, moveIn } from '../support/tenant-database.ts'
import { converse } from './protocol-fuzz/conversation.ts'
import { startRecorder, withoutPassword } from './protocol-fuzz/recorder.ts'

/** `npm run test:long` has ten times as many. */
const ANSWERS = Number(process.env.FUZZ_ANSWERS ?? 2_000)
/** The same seed gives the same answers. */
const SEED = Number(process.env.FUZZ_SEED ?? Date.now() % 2 ** 31)
const MS_PER_ANSWER = 8

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'protocol-fuzz-'))
})
afterAll(async () => {
  await rm(directory, { recursive: true, force: true })
  await dropAll()
})

/** Has a conversation with a real server and records the server's messages. */
async function record(): Promise<string> {
  const { url } = await createTenantDatabase()
  const tenantId = await moveIn(url)
  const recorder = await startRecorder(url)
  const limits = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 }
  const client = new GuardedClient(clientConfig(addressOf(recorder.url), limits))
  await client.connect()
  const failures = await converse(client, tenantId)
  client.destroy()
  // The messages of a real server are valid, so only requests for missing objects are refused.
  expect(failures.map((error) => (error as { code?: string }).code)).toEqual(['42703', '57014', '22012'])
  const turns = recorder.turns()
  recorder.close()
  const recordings = [withoutPassword(turns), withoutPassword(turns), withoutPassword(turns), turns]
  const file = join(directory, 'recorded.json')
  const texts = recordings.map((each) =>
    each.map((messages) => messages.map((one) => one.toString('base64'))),
  )
  await writeFile(file, JSON.stringify({ tenantId, recordings: texts }))
  return file
}

test(
  `${ANSWERS} conversations with a server that breaks the protocol end, and nothing else does (FUZZ_SEED=${SEED})`,
  async () => {
    const file = await record()
    const run = fileURLToPath(new URL('./protocol-fuzz/run.ts', import.meta.url))
    const child = new GatewayProcess({ command: [process.execPath, run, file, `${ANSWERS}`, `${SEED}`] })
    const timer = setTimeout(() => child.child.kill('SIGKILL'), 30_000 + ANSWERS * MS_PER_ANSWER)
    const ended = await child.ended
    clearTimeout(timer)
    expect([ended, child.stderr]).toEqual([0, ''])
    const outcomes = JSON.parse(child.stdout)
    expect(outcomes).toMatchObject({ answers: ANSWERS, unsettled: 0 })
    // Some conversations are refused at the start, and some pass.
    expect(outcomes.violations / ANSWERS).toBeGreaterThan(0.3)
    expect(outcomes.undisturbed / ANSWERS).toBeGreaterThan(0.02)
  },
  60_000 + ANSWERS * MS_PER_ANSWER,
)
