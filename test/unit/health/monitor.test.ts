import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { DatabaseEntry } from '../../../src/catalog/databases/entry.ts'
import { HealthMonitor, type MonitorOptions } from '../../../src/health/monitor.ts'
import { ConnectionBudget } from '../../../src/pools/budget.ts'

/** The fields of an error that says that this database accepts no connections. */
const CLOSED = 'SFATAL\0C55000\0Mclosed\0\0'

let server: Server
let accepted = 0
/** What the server answers to a connection; null resets it. */
let answer: string | null = null

beforeEach(async () => {
  accepted = 0
  answer = null
  server = createServer((socket) => {
    accepted += 1
    socket.on('error', () => undefined)
    if (answer === null) {
      socket.resetAndDestroy()
      return
    }
    const length = Buffer.alloc(4)
    length.writeInt32BE(answer.length + 4)
    socket.once('data', () =>
      socket.end(Buffer.concat([Buffer.from('E'), length, Buffer.from(answer ?? '')])),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => server.close())

function entriesAt(ports: readonly number[], seconds: readonly number[] = []): DatabaseEntry[] {
  return ports.map((port, n) => {
    const place = { id: `${n}`, tenantId: `t${n}`, rowVersion: 1, host: '127.0.0.1', port }
    return { ...place, connectionTimeoutSeconds: seconds[n] ?? 5, status: 'active' } as DatabaseEntry
  })
}

/** One round over the entries. Returns the recorded result of each, by id. */
async function sweep(entries: readonly DatabaseEntry[], signal?: AbortSignal): Promise<Map<string, string>> {
  const recorded = new Map<string, string>()
  const due = [...entries]
  const registry = {
    claimDueHealthChecks: async (_age: number, limit: number) => due.splice(0, limit),
    recordHealth: async ({ id }: DatabaseEntry, result: 'ok' | { code: string }) => {
      recorded.set(id, result === 'ok' ? result : result.code)
      return 'active'
    },
  }
  const addresses = {
    addressOf: ({ host, port }: DatabaseEntry) => ({
      ...{ host, port, database: 'd', user: 'u', password: async () => 'p', sslMode: 'disable' },
      ...{ caCertificate: null, applicationName: 'test', lookup: null },
    }),
  }
  const monitor = new HealthMonitor({
    ...({ registry, addresses } as unknown as Pick<MonitorOptions, 'registry' | 'addresses'>),
    budget: new ConnectionBudget({ max: 50, maxPerServer: 50, victims: () => [] }),
    ...{
      migrations: [],
      tables: { tenantTables: [], referenceTables: [] },
      forbidden: [],
      log: { warn: () => undefined },
    },
    ...{ onTransition: () => undefined, onAnswer: () => undefined },
    onMismatch: () => undefined,
  })
  await monitor.sweep(signal)
  return recorded
}

describe('a health round', () => {
  test('tries one database of an unreachable server, and records the result for all', async () => {
    const { port } = server.address() as AddressInfo
    const recorded = await sweep(entriesAt(Array(20).fill(port)))
    expect([...recorded.values()]).toEqual(Array(20).fill('CONNECTION_REFUSED'))
    expect(accepted).toBe(1)
  })

  test('tries every database of a server that answers', async () => {
    answer = CLOSED
    const { port } = server.address() as AddressInfo
    const recorded = await sweep(entriesAt(Array(20).fill(port)))
    expect([...recorded.values()]).toEqual(Array(20).fill('CONNECTION_REFUSED'))
    expect(accepted).toBe(20)
  })

  test('does not consider a server silent because of one database with a short timeout', async () => {
    server.removeAllListeners('connection')
    server.on('connection', () => {
      accepted += 1
    })
    const { port } = server.address() as AddressInfo
    const recorded = await sweep(entriesAt(Array(5).fill(port), [1, 1, 2, 2, 2]))
    expect([...recorded.values()]).toEqual(Array(5).fill('CONNECTION_TIMEOUT'))
    expect(accepted).toBe(2)
  })

  test('that is stopped begins no further databases, so a stopping gateway does not wait for all of them', async () => {
    const { port } = server.address() as AddressInfo
    const recorded = await sweep(entriesAt(Array(20).fill(port)), AbortSignal.abort())
    expect(recorded.size).toBe(8)
  })
})
