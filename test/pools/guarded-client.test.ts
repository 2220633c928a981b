import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import pg from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { GuardedClient } from '../../src/lib/postgres/guarded-client.ts'
import { clientConfig } from '../../src/lib/postgres/pg.ts'
import { int32, message, ready } from '../support/backend-messages.ts'
import { type FakeServer, startFakeServer } from '../support/fake-server.ts'
import { addressOf } from '../support/tenant-database.ts'

const MAX_ANSWER_BYTES = 256 * 1024

let server: FakeServer | undefined
afterEach(() => server?.close())

async function connect(): Promise<GuardedClient> {
  const address = addressOf((server as FakeServer).urlFor('someone', 'secret', 'db'))
  const limits = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000, maxAnswerBytes: MAX_ANSWER_BYTES }
  const client = new GuardedClient(clientConfig(address, limits))
  await client.connect()
  return client
}

describe('a server that sends more than was requested', () => {
  test('is disconnected if an answer has no end', async () => {
    server = await startFakeServer('flood')
    const client = await connect()
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'ANSWER_TOO_LARGE' })
    await expect(client.query('SELECT 1')).rejects.toThrow()
  })

  test('is disconnected if nothing was requested, however often it reports that it is ready', async () => {
    server = await startFakeServer('chatter')
    const answered = connect().then(async (client) => {
      await new Promise<void>((resolve) => client.once('end', () => resolve()))
      return client.query('SELECT 1')
    })
    // The server's first surplus message may arrive in any step, depending on time.
    await expect(answered).rejects.toThrow()
  })

  test('stays connected as long as each answer is within the limit', async () => {
    server = await startFakeServer({ kind: 'liar', serverVersion: '18.0', answer: () => 'x'.repeat(100_000) })
    const client = await connect()
    for (let n = 0; n < 10; n += 1) {
      const { rows } = await client.query('SELECT something')
      expect(rows[0]?.value).toHaveLength(100_000)
    }
    await client.end()
  })

  test('stays connected as long as each error is within the limit', async () => {
    server = await startFakeServer('grumbler')
    const client = await connect()
    for (let n = 0; n < 10; n += 1)
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '42601' })
    await client.end()
  })
})

/** A query whose own code throws when the message arrives. */
class FaultyQuery extends pg.Query {
  constructor(method: 'handleRowDescription' | 'handleDataRow' | 'handleCommandComplete') {
    super({ text: 'SELECT something' })
    Object.assign(this, {
      [method]: () => {
        throw new TypeError('ours')
      },
    })
  }
}

describe('our own code that throws while it handles an answer', () => {
  test.each(['handleRowDescription', 'handleDataRow', 'handleCommandComplete'] as const)(
    'ends the connection, and the server is not blamed: %s',
    async (method) => {
      server = await startFakeServer({ kind: 'liar', serverVersion: '18.0', answer: () => 'x' })
      const client = await connect()
      const ended = new Promise((resolve) => client.once('end', resolve))
      const query = new FaultyQuery(method)
      const outcome = new Promise((_, reject) => Object.assign(query, { callback: reject }))
      client.query(query)
      await expect(outcome).rejects.toMatchObject({ name: 'HandlerFault', code: 'INTERNAL_ERROR' })
      await ended
    },
  )
})

/** Answers the request for TLS, and what follows, with bytes that the test gives. */
async function connectToTls(answer: (socket: Socket) => void): Promise<unknown> {
  const listener = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => answer(socket))
  })
  await once(listener.listen(0, '127.0.0.1'), 'listening')
  const { port } = listener.address() as { port: number }
  const address = addressOf(`postgresql://someone:secret@127.0.0.1:${port}/db`, { sslMode: 'require' })
  const client = new GuardedClient(
    clientConfig(address, { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000 }),
  )
  const outcome = await (client as pg.Client).connect().then(
    () => client.query('SELECT 1').catch((error: unknown) => error),
    (error: unknown) => error,
  )
  client.destroy()
  listener.close()
  return outcome
}

const LET_IN = Buffer.concat([message('R', int32(0)), message('K', int32(1), int32(2)), ready()])
const VIOLATION = { code: 'PROTOCOL_VIOLATION' }

describe('a server from which TLS is requested', () => {
  test.each([
    ['that it has it, with words that would be taken for said inside', [Buffer.from('S'), LET_IN]],
    ['that it has it not, and more', [Buffer.from('N'), LET_IN]],
    ['with what is no answer', [Buffer.from('X')]],
    ['as if it had not been asked', [LET_IN]],
  ])('is disconnected if it sends %s', async (_, said) => {
    expect(await connectToTls((socket) => socket.write(Buffer.concat(said)))).toMatchObject(VIOLATION)
  })

  test.each([
    ['an authentication that there is not', [message('R', int32(7))]],
    ['an error without its end', [message('E', Buffer.from('SERROR'))]],
    ['a row, once in', [LET_IN, message('D', Buffer.from([0, 9]))]],
  ])('is checked inside TLS as well: %s', async (_, said) => {
    const { key, cert } = await certificate()
    const outcome = await connectToTls((socket) => {
      socket.write('S')
      const secured = new TLSSocket(socket, { isServer: true, key, cert })
      secured.on('error', () => undefined)
      secured.once('data', () => secured.write(Buffer.concat(said)))
    })
    expect(outcome).toMatchObject(VIOLATION)
  })
})

/** A self-signed certificate made by `openssl`. */
async function certificate(): Promise<{ key: Buffer; cert: Buffer }> {
  const directory = await mkdtemp(join(tmpdir(), 'certificate-'))
  const [key, cert] = [join(directory, 'key.pem'), join(directory, 'cert.pem')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, '-subj', '/CN=localhost', '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const made = { key: readFileSync(key), cert: readFileSync(cert) }
  await rm(directory, { recursive: true })
  return made
}
