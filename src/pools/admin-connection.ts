import { assertIdentity, greet } from '../lib/postgres/database-identity.ts'
import {
  type ConnectionLimits,
  clientConfig,
  connectFault,
  errorCode,
  GuardedClient,
  type ServerAddress,
} from '../lib/postgres/pg.ts'
import { newServerTraits } from '../lib/postgres/server-traits.ts'
import type { Bidder, ConnectionBudget } from './budget.ts'
import { isDenied } from './opening/breakers.ts'
import { Sessionless } from './wire/sessionless.ts'

export interface AdminConnectionOptions {
  readonly budget: ConnectionBudget
  readonly limits: ConnectionLimits
  /** How long to wait until the budget allows one more connection. */
  readonly admissionTimeoutMs: number
  /** Cuts the connection when it fires, whatever it is waiting for. */
  readonly signal?: AbortSignal
}

/** The budget had no room for one more connection in time: says nothing about the database. */
export class NoAdmissionError extends Error {
  readonly code = 'NO_PERMIT'
}

/**
 * Lends a connection of its own for checks and housekeeping, counted in the budget like all others, and destroys it afterwards.
 * @throws NoAdmissionError; IdentityMismatchError where the address expects another database; or what connecting throws
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
    // pg has no code for a statement that was waited for in vain.
    if (errorCode(cause) !== null || !client.isOwedAnAnswer) throw cause
    throw Object.assign(new Error('no answer in time', { cause }), { code: 'ETIMEDOUT' })
  } finally {
    void client.end(() => undefined)
  }
}

/** Opens a connection, once more where what it asked for was refused. */
async function open(address: ServerAddress, options: AdminConnectionOptions): Promise<GuardedClient> {
  const { budget, limits, signal } = options
  const server = `${address.host}:${address.port}`
  await admission(budget, server, options.admissionTimeoutMs)
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

/** Connects; gives the faults for which pg has no code one that can be decided on. */
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

function admission(budget: ConnectionBudget, server: string, timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let wants = 1
    const bidder: Bidder = {
      server,
      held: 0,
      wanted: () => wants,
      closeIdle: () => false,
      openOne: () => {
        wants = 0
        clearTimeout(timer)
        resolve()
      },
    }
    const timer = setTimeout(() => {
      wants = 0
      budget.forget(bidder)
      reject(new NoAdmissionError('no connection could be admitted in time'))
    }, timeoutMs)
    budget.enqueue(bidder)
  })
}
