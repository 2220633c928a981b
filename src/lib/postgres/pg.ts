import type { LookupFunction } from 'node:net'
import type pg from 'pg'
import Pool from 'pg-pool'
import { checkedStream } from '../wire/checked-socket.ts'
import { tlsOptions, verification } from '../wire/server-tls.ts'
import {
  type ConnectionTarget,
  effectiveSslMode,
  type HandshakeOptions,
  type SslMode,
} from './connection-string.ts'
import { connectFault, endpointOption, GuardedClient, type GuardedConfig } from './guarded-client.ts'
import { newServerTraits, type ServerTraits } from './server-traits.ts'
import { startupOptions, wantedSettings } from './session-settings.ts'

/** Identifies a database independently of its name: the cluster's system identifier and the database's oid in it. */
export interface PhysicalIdentity {
  /** Null if the server does not show it. */
  readonly systemIdentifier: string | null
  readonly databaseOid: number
}

/** The server, database and role to connect to. The password is read once per connection and is not kept. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: () => Promise<string>
  /** Called when the server refuses the password: the password may have changed at its source. */
  readonly onDenied?: () => void
  readonly sslMode: SslMode
  readonly caCertificate: string | null
  /** What else the connection string asks for at connecting. Absent: nothing. */
  readonly handshake?: HandshakeOptions
  readonly applicationName: string
  /** The egress policy's own lookup: we connect to exactly the address that it checked. */
  readonly lookup: LookupFunction | null
  /** The database that must be there. Null: not known yet, so no database is accepted. Absent: any database is accepted. */
  readonly expected?: () => PhysicalIdentity | null
  /** What is known about the server. All connections to it share and update this. */
  readonly traits?: ServerTraits
  /** True if whole sessions are needed (LISTEN, locks): a pooler must then be in session mode. */
  readonly needsSession?: boolean
}

export interface AddressDefaults {
  /** The sslmode if the connection string has none and its host is not the loopback. */
  readonly sslMode: SslMode
  readonly applicationName: string
}

/** The address that a connection string names. @throws ConnectionStringError if its parameters contradict the sslmode */
export function addressOfTarget(target: ConnectionTarget, defaults: AddressDefaults): ServerAddress {
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: async () => target.password.reveal(),
    sslMode: effectiveSslMode(target, defaults.sslMode),
    caCertificate: null,
    handshake: target.handshake,
    applicationName: defaults.applicationName,
    lookup: null,
  }
}

export interface ConnectionLimits {
  readonly connectTimeoutMs: number
  /** 0 means none. The server enforces it, so it still holds after our process has ended. */
  readonly statementTimeoutMs: number
  /** How long a transaction may be idle between two statements before the server ends it. Absent: a minute. */
  readonly idleInTransactionMs?: number
  /** A server that sends more than this before it is ready for the next statement is cut off. Absent: no limit. */
  readonly maxAnswerBytes?: number
  /**
   * Named statements are planned once per connection. Otherwise the LIMIT parameter of a list makes PostgreSQL plan
   * each execution anew, and planning then takes as long as the query.
   */
  readonly plansOnce?: boolean
}

const IDLE_IN_TRANSACTION_MS = 60_000
/** Turns an address into pg's options. Sets every option that pg would otherwise read from the environment. */
export function clientConfig(address: ServerAddress, limits: ConnectionLimits): GuardedConfig {
  const { traits, needsSession } = address
  const { statementTimeoutMs, idleInTransactionMs = IDLE_IN_TRANSACTION_MS, plansOnce = false } = limits
  const session = { statementTimeoutMs, idleInTransactionMs, plansOnce }
  return {
    wanted: wantedSettings(session),
    ...(traits !== undefined && { traits }),
    ...(needsSession !== undefined && { needsSession }),
    host: address.host,
    port: address.port,
    database: address.database,
    user: address.user,
    password: address.password,
    ssl: tlsOptions(address),
    trustsServer: verification(address) !== 'none',
    ...handshakeOptions(address),
    application_name: address.applicationName,
    client_encoding: 'UTF8',
    options: `${endpointOption(address.handshake)}${startupOptions(session)}`,
    ...timeouts(statementTimeoutMs),
    idle_in_transaction_session_timeout: idleInTransactionMs,
    connectTimeoutMs: limits.connectTimeoutMs,
    keepAlive: true,
    ...(limits.maxAnswerBytes === undefined ? {} : { maxAnswerBytes: limits.maxAnswerBytes }),
    ...checkedStream(address.lookup),
  }
}

function handshakeOptions({ sslMode, handshake = {} }: ServerAddress): GuardedConfig {
  const { channelBinding, sslNegotiation } = handshake
  return {
    handshake,
    sslnegotiation: sslNegotiation ?? 'postgres',
    enableChannelBinding:
      sslMode !== 'disable' && (channelBinding === 'prefer' || channelBinding === 'require'),
  }
}

/** The server ends a slow statement. If the server is silent, our own timer ends the wait a second later. */
function timeouts(statementTimeoutMs: number): pg.ClientConfig {
  if (statementTimeoutMs === 0) return {}
  return { statement_timeout: statementTimeoutMs, query_timeout: statementTimeoutMs + 1_000 }
}

/** Opens one connection outside any pool. The caller ends it. */
export async function connectClient(
  address: ServerAddress,
  limits: ConnectionLimits,
): Promise<GuardedClient> {
  const traits = address.traits ?? newServerTraits()
  const client = new GuardedClient(clientConfig({ ...address, traits }, limits))
  try {
    await client.connect()
    return client
  } catch (error) {
    if (client.wasRefusedSettings) return connectClient({ ...address, traits }, limits)
    throw connectFault(client, error)
  }
}

export interface PoolLimits extends ConnectionLimits {
  readonly max: number
  readonly idleTimeoutMs: number
}

export interface PoolHooks {
  /** A subclass that counts its connections. */
  readonly Client?: typeof GuardedClient
  /** Checks each new connection before its first use. If this rejects, the connection is closed. */
  readonly verify?: (client: pg.ClientBase) => Promise<void>
}

interface PoolInternals {
  options: { connectionTimeoutMillis: number }
  newClient(pending: unknown): void
}
const internals = Pool.prototype as unknown as PoolInternals

/**
 * pg-pool has one time limit for two waits: for a free connection, and for a new connection to open. The client itself
 * limits the second wait, and does not count the time in which our event loop was busy.
 */
class BusyAwarePool<C extends pg.Client> extends Pool<C> {
  newClient(pending: unknown): void {
    const { options } = this as unknown as PoolInternals
    const { connectionTimeoutMillis } = options
    options.connectionTimeoutMillis = 0
    try {
      internals.newClient.call(this, pending)
    } finally {
      options.connectionTimeoutMillis = connectionTimeoutMillis
    }
  }
}

export function createPool(
  address: ServerAddress,
  limits: PoolLimits,
  { Client = GuardedClient, verify }: PoolHooks = {},
): Pool<pg.Client> {
  const config = {
    ...clientConfig(address, limits),
    ...{ max: limits.max, idleTimeoutMillis: limits.idleTimeoutMs },
    connectionTimeoutMillis: limits.connectTimeoutMs,
    ...(verify !== undefined && { verify: verifyHook(verify) }),
  }
  const pool = new BusyAwarePool<pg.Client>(config, Client as never)
  // pg-pool removes an idle connection whose backend has died. Without this listener the event would end the process.
  pool.on('error', () => undefined)
  return pool
}

function verifyHook(verify: NonNullable<PoolHooks['verify']>) {
  return (client: pg.ClientBase, done: (error?: Error) => void): void => {
    verify(client).then(() => done(), done)
  }
}

/** The result of one round trip to a database: how long it took, and whether the database is read-only now. */
export interface Ping {
  readonly latencyMs: number
  readonly isReadOnly: boolean
}

/** True on a standby, and if the default of the server or the database is a read-only transaction. */
export const READS_ONLY = "pg_catalog.current_setting('transaction_read_only') = 'on'"

export { databaseError, errorCode } from './database-error.ts'
