import { assertIdentity, greet } from '../lib/postgres/database-identity.ts'
import { connectFault, GuardedClient } from '../lib/postgres/guarded-client.ts'
import { type ConnectionLimits, clientConfig, errorCode, type ServerAddress } from '../lib/postgres/pg.ts'
import { newServerTraits } from '../lib/postgres/server-traits.ts'
import type { ConnectionBudget } from './budget.ts'
import { isDenied } from './opening/attempt.ts'
import type { BudgetedPool } from './opening/waiting-pools.ts'
import { Sessionless } from './wire/sessionless.ts'

export interface AdminConnectionOptions {
  readonly budget: ConnectionBudget
  readonly limits: ConnectionLimits
  /** How long to wait until the budget allows one more connection. */
  readonly admissionTimeoutMs: number
  /** Cuts the connection when it fires, even in the middle of a statement. */
  readonly signal?: AbortSignal
}

/** The budget gave no permit in time. That says nothing about the database. */
export class NoAdmissionError extends Error {
  readonly code = 'NO_PERMIT'
}

/**
 * Lends a connection outside the pools for checks and housekeeping. The connection counts in the budget, and is closed afterwards.
 * @throws NoAdmissionError; IdentityMismatchError if the address expects another database; or the error of the attempt
 */
export async function withAdminConnection<T>(
  address: ServerAddress,
  options: AdminConnectionOptions,
  fn: (client: GuardedClient) => Promise<T>,
): Promise<T> {
  const known = { ...address, traits: address.traits ?? newServerTraits() }
  const client = await open(known, options)
  try {
    await greet(client)
    if (address.expected !== undefined) await assertIdentity(client, address.expected())
    Sessionless.wrap(client, () => open(known, options))
    return await fn(client)
  } catch (cause) {
    // pg has no code for a statement that was never answered.
    if (errorCode(cause) !== null || !client.isOwedAnAnswer) throw cause
    throw Object.assign(new Error('no answer in time', { cause }), { code: 'ETIMEDOUT' })
  } finally {
    void client.end(() => undefined)
  }
}

/** Opens a connection. If a pooler refuses the settings in the startup message, tries once more without them. */
async function open(address: ServerAddress, options: AdminConnectionOptions): Promise<GuardedClient> {
  const { budget, limits, signal } = options
  const server = `${address.host}:${address.port}`
  await takePermit(budget, server, options.admissionTimeoutMs)
  if (signal?.aborted === true) {
    budget.release(server)
    throw Object.assign(new Error('out of time before connecting'), { code: 'ETIMEDOUT' })
  }
  const client = new GuardedClient(clientConfig(address, limits))
  const cut = () => client.destroy()
  client.once('end', () => {
    signal?.removeEventListener('abort', cut)
    budget.release(server)
  })
  signal?.addEventListener('abort', cut, { once: true })
  try {
    await connect(client, address)
    return client
  } catch (error) {
    void client.end(() => undefined)
    if (client.wasRefusedSettings) return open(address, options)
    throw connectFault(client, error)
  }
}

/** Connects, and gives a code to errors that have none in pg, because callers decide by the code. */
async function connect(client: GuardedClient, address: ServerAddress): Promise<void> {
  try {
    await client.connect()
  } catch (cause) {
    if (isDenied(cause)) address.onDenied?.()
    if (errorCode(cause) !== null) throw cause
    const inClear = address.sslMode !== 'disable' && !client.isEncrypted
    const code = client.hasTimedOut
      ? 'ETIMEDOUT'
      : inClear
        ? 'TLS_REFUSED'
        : client.wasHungUp
          ? 'ECONNRESET'
          : null
    throw code === null ? cause : Object.assign(new Error('could not connect', { cause }), { code })
  }
}

/** Waits until the budget has a permit for one more connection. @throws NoAdmissionError */
function takePermit(budget: ConnectionBudget, server: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let wanted = 1
    // The budget knows only pools, so this connection asks as a pool that wants one connection.
    const pool: BudgetedPool = {
      server,
      held: 0,
      wanted: () => wanted,
      closeIdle: () => false,
      openOne: () => {
        wanted = 0
        clearTimeout(timer)
        resolve()
      },
    }
    const timer = setTimeout(() => {
      wanted = 0
      budget.waiting.remove(pool)
      reject(new NoAdmissionError('no connection could be admitted in time'))
    }, timeoutMs)
    budget.waiting.add(pool)
  })
}
