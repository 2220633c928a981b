import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ExternalKeys } from '../../../src/identity/tokens/external-keys.ts'
import { KeyServer } from '../../support/key-server.ts'

let server: KeyServer
let now: number
let warnings: string[]
beforeEach(async () => {
  server = await KeyServer.start()
  await server.addKey('first')
  now = 1_000_000
  warnings = []
})
afterEach(() => server.close())

function open(more: object = {}): ExternalKeys {
  const log = { warn: (details: object) => void warnings.push(JSON.stringify(details)) }
  const clock = { now: () => now, monotonic: () => now }
  return new ExternalKeys({ jwksUri: server.jwksUri, log, clock, ...more })
}

const wanted = (kid: string) => ({ alg: 'ES256', kid })
const found = async (keys: ExternalKeys, kid: string) => (await keys.find(wanted(kid))) !== undefined

describe("an issuer's keys", () => {
  test('are read once for all concurrent callers', async () => {
    const keys = open()
    const all = await Promise.all(Array.from({ length: 20 }, () => found(keys, 'first')))
    expect(new Set(all)).toEqual(new Set([true]))
    expect(server.requests).toEqual(['/jwks'])
  })

  test('are read again when they are old', async () => {
    const keys = open()
    await found(keys, 'first')
    now += 599_999
    expect(await found(keys, 'first')).toBe(true)
    expect(server.requests).toHaveLength(1)
    server.keys = []
    await server.addKey('second')
    now += 1
    expect(await found(keys, 'first')).toBe(false)
    expect(await found(keys, 'second')).toBe(true)
  })

  test('are read again for an unknown key id, but once in 30 seconds at most', async () => {
    const keys = open()
    await found(keys, 'first')
    await server.addKey('second')
    expect(await found(keys, 'second')).toBe(true)
    expect(server.requests).toHaveLength(2)
    await Promise.all(Array.from({ length: 50 }, (_, i) => found(keys, `invented-${i}`)))
    expect(server.requests).toHaveLength(2)
    now += 30_000
    await Promise.all(Array.from({ length: 50 }, (_, i) => found(keys, `invented-${i}`)))
    expect(server.requests).toHaveLength(3)
  })

  test('stay valid for a day while the endpoint fails', async () => {
    const keys = open()
    await found(keys, 'first')
    server.answer = (response) => response.writeHead(500).end()
    now += 600_000
    expect(await found(keys, 'first')).toBe(true)
    expect(await found(keys, 'first')).toBe(true)
    expect(server.requests).toHaveLength(2)
    expect(warnings.join()).toContain('answered 500')
    now += 86_400_000
    expect(await found(keys, 'first')).toBe(false)
  })

  test('are requested again after five seconds if there is none', async () => {
    const { answer } = server
    server.answer = (response) => response.writeHead(503).end()
    const keys = open()
    expect(await found(keys, 'first')).toBe(false)
    server.answer = answer
    expect(await found(keys, 'first')).toBe(false)
    expect(server.requests).toHaveLength(1)
    now += 5_000
    expect(await found(keys, 'first')).toBe(true)
  })
})

describe('an endpoint that misbehaves gives no keys', () => {
  test.each<[string, (url: string) => KeyServer['answer']]>([
    [
      'by redirecting',
      (url) => (response) => response.writeHead(302, { location: `${url}/elsewhere` }).end(),
    ],
    [
      'by more than can be keys',
      () => (response) => response.end(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`),
    ],
    ['by no JSON', () => (response) => response.end('<html>')],
    ['by a name twice', () => (response) => response.end('{"keys":[],"keys":[]}')],
    ['by no list', () => (response) => response.end('{"keys":{}}')],
    ['by an error', () => (response) => response.writeHead(404).end('{"keys":[]}')],
    ['by hanging up', () => (response) => response.destroy()],
    ['by silence', () => () => undefined],
    ['by a body that does not end', () => (response) => void response.writeHead(200).write('{"keys":')],
  ])('%s', async (_case, misbehave) => {
    server.answer = misbehave(server.url)
    // Long enough for a busy machine to send the request; two of the cases wait for its end.
    const keys = open({ timeoutMs: 1_000 })
    expect(await found(keys, 'first')).toBe(false)
    expect(server.requests).toEqual(['/jwks'])
    expect(warnings).toHaveLength(1)
  })

  test('with a shared secret, a weak key, or two keys of one id', async () => {
    server.keys = [
      { kty: 'oct', k: Buffer.alloc(32).toString('base64url'), kid: 'secret', alg: 'ES256' },
      { ...server.keys[0], kid: 'twice' },
      { ...server.keys[0], kid: 'twice' },
      { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA', kid: 'weak', alg: 'ES256' },
      { ...server.keys[0], kid: 'for-secrecy', use: 'enc' },
    ] as KeyServer['keys']
    const keys = open()
    for (const kid of ['secret', 'twice', 'weak', 'for-secrecy']) expect(await found(keys, kid)).toBe(false)
  })
})
