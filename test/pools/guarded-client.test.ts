import { afterEach, describe, expect, test } from 'vitest'
import { clientConfig, GuardedClient } from '../../src/lib/pg.ts'
import { type FakeServer, startFakeServer } from '../support/fake-server.ts'
import { addressOf } from '../support/tenant-database.ts'

const MAX_ANSWER_BYTES = 256 * 1024

let server: FakeServer
afterEach(() => server.close())

async function connect(): Promise<GuardedClient> {
  const address = addressOf(server.urlFor('someone', 'secret', 'db'))
  const limits = { connectTimeoutMs: 5_000, statementTimeoutMs: 5_000, maxAnswerBytes: MAX_ANSWER_BYTES }
  const client = new GuardedClient(clientConfig(address, limits))
  await client.connect()
  return client
}

describe('a server that says more than it was asked', () => {
  test('is cut off when an answer has no end', async () => {
    server = await startFakeServer('flood')
    const client = await connect()
    await expect(client.query('SELECT 1')).rejects.toThrow()
    await expect(client.query('SELECT 1')).rejects.toThrow()
  })

  test('is cut off when nothing was asked, however often it says that it is ready', async () => {
    server = await startFakeServer('chatter')
    const client = await connect()
    await new Promise<void>((resolve) => client.once('end', () => resolve()))
    await expect(client.query('SELECT 1')).rejects.toThrow()
  })

  test('is heard for as long as each single answer is within bounds', async () => {
    server = await startFakeServer({ kind: 'liar', serverVersion: '18.0', answer: () => 'x'.repeat(100_000) })
    const client = await connect()
    for (let n = 0; n < 10; n += 1) {
      const { rows } = await client.query('SELECT something')
      expect(rows[0]?.value).toHaveLength(100_000)
    }
    await client.end()
  })

  test('is heard for as long as each single refusal is', async () => {
    server = await startFakeServer('grumbler')
    const client = await connect()
    for (let n = 0; n < 10; n += 1)
      await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: '42601' })
    await client.end()
  })
})
