import { vi } from 'vitest'
import { PoolManager } from '../../src/pools/pool-manager.ts'
import { FakeNetwork } from './fake-network.ts'
import { fakeAddress, fakeRoute, turn } from './pool-world.ts'

/** Callers that ask for one database after another, and how many connections and pools there may be. */
export interface Churn {
  /** The databases of the requests, in the order in which they are sent. */
  readonly trace: readonly number[]
  readonly callers: number
  readonly maxConnections: number
  readonly maxPools?: number
}

const PORT = 1001
const POOL_SIZE = 10
/** The server accepts one connection in so many milliseconds, however many it is asked for. A request takes one millisecond. */
const OPENING_MS = 3

/**
 * Serves requests with real pools, by a fake server on a fake clock, and returns how many connections were opened. Each caller sends
 * its next request when the last one has been answered. Needs fake timers.
 */
export async function countOpens(churn: Churn): Promise<number> {
  const network = new FakeNetwork()
  network.install()
  const manager = createManager(churn)
  const answers: (() => void)[] = []
  let [sent, calling, opens] = [0, churn.callers, 0]
  const call = async () => {
    while (sent < churn.trace.length) {
      const route = fakeRoute({
        tenant: churn.trace[sent++] ?? 0,
        version: 1,
        port: PORT,
        poolSize: POOL_SIZE,
      })
      const answer = () => new Promise<void>((resolve) => answers.push(resolve))
      await manager.run(route, answer, () => true)
    }
    calling -= 1
  }
  const calls = Promise.all(Array.from({ length: churn.callers }, call))
  for (let ms = 0; calling > 0; ms += 1) {
    for (const answer of answers.splice(0)) answer()
    await turn()
    if (ms % OPENING_MS === 0) opens += acceptOne(network)
    await turn()
    tellIdentities(network)
    await turn()
    vi.advanceTimersByTime(1)
  }
  await calls
  await closeAll(manager, network)
  return opens
}

function createManager({ maxConnections, maxPools = 1_000 }: Churn): PoolManager {
  return new PoolManager({
    ...{ maxPools, maxConnections, maxConnectionsPerServer: maxConnections },
    ...{ acquireTimeoutMs: 60_000, statementTimeoutMs: 5_000 },
    ...{ shared: fakeAddress(PORT), sharedPoolSize: POOL_SIZE },
    addressOf: ({ port }) => fakeAddress(port),
  })
}

/** Returns how many connections it has accepted. */
function acceptOne(network: FakeNetwork): number {
  const startup = network.questions.find(({ kind }) => kind === 'startup')
  network.answer(startup, 'accept')
  return startup === undefined ? 0 : 1
}

function tellIdentities(network: FakeNetwork): void {
  const asked = network.questions.filter(({ kind }) => kind === 'identity')
  for (const question of asked) network.answer(question, 'accept')
}

async function closeAll(manager: PoolManager, network: FakeNetwork): Promise<void> {
  network.isPrompt = true
  network.answerAll()
  const closed = manager.close()
  await turn()
  await closed
}
