// Plays a server to our clients, from recorded traffic with faults in it. It runs in its own process, because an uncaught error
// would end the process, and the test must be able to end an endless loop.
import { readFileSync } from 'node:fs'
import { type Duplex, duplexPair } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type pg from 'pg'
import { GuardedClient } from '../../../src/lib/postgres/guarded-client.ts'
import { clientConfig, errorCode, type ServerAddress } from '../../../src/lib/postgres/pg.ts'
import { readMessages } from '../../support/fake-server.ts'
import { below, seededRandom } from '../../support/seeded-random.ts'
import { converse } from './conversation.ts'
import { mutated, type Turns } from './mutations.ts'

/** The time limit of a conversation. All of them share a processor. */
const SETTLED_WITHIN_MS = 15_000
const AT_ONCE = 50
/** If the client expects more than the server has to send, the server closes the connection. */
const SILENCE_MS = 10
const MAX_ANSWER_BYTES = 256 * 1024

const [file = '', answers = '0', seed = '0'] = process.argv.slice(2)
const recorded = JSON.parse(readFileSync(file, 'utf8')) as { tenantId: string; recordings: string[][][] }
const recordings = recorded.recordings.map(
  (turns): Turns => turns.map((messages) => messages.map((text) => Buffer.from(text, 'base64'))),
)

const ADDRESS: ServerAddress = {
  ...{
    host: '127.0.0.1',
    port: 5432,
    database: 'db',
    user: 'fuzzer',
    password: async () => 'only-for-tests',
  },
  ...{ sslMode: 'disable', caCertificate: null, applicationName: 'fuzz', lookup: null },
}

function clientOver(stream: Duplex): GuardedClient {
  // As a socket does.
  stream.once('end', () => stream.end())
  const limits = { connectTimeoutMs: 0, statementTimeoutMs: 0, maxAnswerBytes: MAX_ANSWER_BYTES }
  const socket = Object.assign(stream, {
    connect: () => process.nextTick(() => stream.emit('connect')),
    setNoDelay: () => undefined,
    setKeepAlive: () => undefined,
    bytesRead: 1,
  })
  return new GuardedClient({ ...clientConfig(ADDRESS, limits), stream: () => socket as never })
}

/** After these messages a server answers. */
const ANSWERED = new Set(['startup', 'p', 'Q', 'S', 'f'])

function play(stream: Duplex, turns: readonly (readonly Buffer[])[]): void {
  let turn = 0
  let silence: NodeJS.Timeout | undefined
  stream.on('error', () => undefined)
  stream.on('end', () => stream.end())
  const hangUp = () => {
    clearTimeout(silence)
    silence = setTimeout(() => stream.end(), SILENCE_MS)
  }
  readMessages(stream, (type) => {
    hangUp()
    if (!ANSWERED.has(type)) return
    for (const piece of turns[turn] ?? []) stream.write(piece)
    turn += 1
  })
  stream.on('close', () => clearTimeout(silence))
}

const outcomes = { answers: 0, undisturbed: 0, violations: 0, otherwise: 0, unsettled: 0 }

async function tryOne(n: number): Promise<void> {
  const random = seededRandom(Number(seed) + n)
  const turns = recordings[below(random, recordings.length)] as Turns
  const [ours, theirs] = duplexPair()
  play(theirs, mutated(turns, random))
  const client = clientOver(ours)
  const settled = (client as pg.Client).connect().then(
    () => converse(client, recorded.tenantId),
    (error: unknown) => [error],
  )
  const over = new AbortController()
  const late = delay(SETTLED_WITHIN_MS, null, { signal: over.signal }).catch(() => null)
  const failures = await Promise.race([settled, late])
  over.abort()
  client.destroy()
  outcomes.answers += 1
  if (failures === null) outcomes.unsettled += 1
  else if (failures.some((error) => errorCode(error) === 'PROTOCOL_VIOLATION')) outcomes.violations += 1
  else if (failures.length <= EXPECTED_REFUSALS) outcomes.undisturbed += 1
  else outcomes.otherwise += 1
}

/** The number of the conversation's statements that a server without faults refuses. */
const EXPECTED_REFUSALS = 3

const numbers = Array.from({ length: Number(answers) }, (_, n) => n).values()
await Promise.all(
  Array.from({ length: AT_ONCE }, async () => {
    for (const n of numbers) await tryOne(n)
  }),
)
process.stdout.write(`${JSON.stringify(outcomes)}\n`)
