import type { LookupFunction, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import pg from 'pg'
import Pool from 'pg-pool'
import { startTimeLimit, type TimeLimit } from '../time-limit.ts'
import { checkedStream } from '../wire/checked-socket.ts'
import { checkWire, type Wire } from '../wire/checked-wire.ts'
import { assertWritable, enforceHandshake } from '../wire/handshake.ts'
import { tlsOptions, verification } from '../wire/server-tls.ts'
import type { HandshakeOptions, SslMode } from './connection-string.ts'
import { databaseError } from './database-error.ts'
import { PoolerUnsupportedError } from './pooler-faults.ts'
import { newServerTraits, type ServerTraits } from './server-traits.ts'
import { type SessionSetting, startupOptions, wantedSettings } from './session-settings.ts'

/** Tells two databases apart whatever they are called: the cluster's identifier and the database's oid in it. */
export interface PhysicalIdentity {
  /** Null where the server does not tell it. */
  readonly systemIdentifier: string | null
  readonly databaseOid: number
}

/** Where and as whom to connect. The password is asked for once a connection and kept nowhere. */
export interface ServerAddress {
  readonly host: string
  readonly port: number
  readonly database: string
  readonly user: string
  readonly password: () => Promise<string>
  /** To be called when the server has not taken that password: it may have been put right where it comes from. */
  readonly onDenied?: () => void
  readonly sslMode: SslMode
  readonly caCertificate: string | null
  /** What else the connection string asks for when connecting; absent is nothing. */
  readonly handshake?: HandshakeOptions
  readonly applicationName: string
  /** The egress policy's own look-up: the address it checked is the address that is connected to. */
  readonly lookup: LookupFunction | null
  /** Which database must be found there; null is not known (yet), and none will do. Absent where any may be there. */
  readonly expected?: () => PhysicalIdentity | null
  /** What is known of the server; shared by all connections to it, which find it out. */
  readonly traits?: ServerTraits
  /** Sessions are needed there (LISTEN, locks): a pooler must lend whole ones. */
  readonly needsSession?: boolean
}

export interface ConnectionLimits {
  readonly connectTimeoutMs: number
  /** 0 means none. Set on the server, so that it holds also when our side has gone. */
  readonly statementTimeoutMs: number
  /** How long a transaction may rest between two statements before the server ends it. Absent: a minute. */
  readonly idleInTransactionMs?: number
  /** A server that says more than this before it is ready for the next statement is cut off. Absent: no bound. */
  readonly maxAnswerBytes?: number
  /**
   * Named statements are planned once a connection, not anew each time. A page's size as a parameter makes PostgreSQL
   * believe that only a plan for this very value will do, and it then spends as long on planning as on the page.
   */
  readonly plansOnce?: boolean
}

interface GuardedConfig extends pg.ClientConfig {
  readonly trustsServer?: boolean
  readonly maxAnswerBytes?: number
  /** In place of pg's own, whose timer cannot tell a silent server from a busy event loop. */
  readonly connectTimeoutMs?: number
  readonly traits?: ServerTraits
  readonly needsSession?: boolean
  /** What its session must be like once it is open. */
  readonly wanted?: readonly SessionSetting[]
  readonly handshake?: HandshakeOptions
}

/** What the startup message is made of; pg's typings do not show it. */
type StartupParameters = Record<
  'options' | 'statement_timeout' | 'idle_in_transaction_session_timeout',
  unknown
>

type Settle = (error: Error | null) => void

type AuthHandler = (this: pg.Client, message: unknown) => void
const clearTextHandler = '_handleAuthCleartextPassword'
const GOODBYE_TIMEOUT_MS = 2_000
const IDLE_IN_TRANSACTION_MS = 60_000
/** What a pooler answers to a startup message with parameters that it does not know. */
const PROTOCOL_VIOLATION = '08P01'

/**
 * pg's client with habits of ours: it never dies of an unheard 'error' event (whoever waits for an answer gets the
 * error through the query), it does not say the password in clear to a server that has not proven who it is, it listens
 * to no endless answer and to no server that breaks the protocol, and it leaves no socket open when connecting has failed.
 */
export class GuardedClient extends pg.Client {
  readonly traits: ServerTraits
  readonly needsSession: boolean
  readonly wanted: readonly SessionSetting[]
  readonly #connectTimeoutMs: number
  readonly #handshake: HandshakeOptions
  #connectLimit: TimeLimit | null = null
  #hasTimedOut = false
  #beganPlain = false
  #wasRefusedSettings = false

  constructor(config: GuardedConfig) {
    super(config)
    const { handshake = {} } = config
    this.#connectTimeoutMs = config.connectTimeoutMs ?? 0
    this.traits = config.traits ?? newServerTraits()
    this.needsSession = config.needsSession ?? false
    this.wanted = config.wanted ?? []
    this.#handshake = handshake
    this.on('error', () => undefined)
    if (config.trustsServer !== true) {
      Object.defineProperty(this, clearTextHandler, {
        value: refuseClearText satisfies AuthHandler,
        configurable: true,
      })
    }
    checkWire(this.#wire, config.maxAnswerBytes)
    this.#wire.once('authenticationOk', () => this.#forgetPassword())
    this.#wire.once('end', () => this.#forgetPassword())
    // Outermost, because it has to see the stream itself.
    enforceHandshake(this, handshake)
  }

  /** pg gives up without hanging up where the fault is on our side: no password to give, or one not to be given. */
  override connect(callback?: unknown): never {
    if (callback !== undefined) return this.#connect(callback as Settle) as never
    return new Promise<pg.Client>((resolve, reject) => {
      this.#connect((error) => (error ? reject(error) : resolve(this)))
    }) as never
  }

  /** Settles once: a server that was given up may still say that it is ready. */
  #connect(settle: Settle): void {
    this.#beganPlain = this.traits.isPlain
    if (this.#beganPlain) this.#askForNothing()
    let isSettled = false
    const settleOnce: Settle = (error) => {
      if (isSettled) return
      isSettled = true
      this.#connectLimit?.clear()
      if (error) this.#failed(error)
      settle(error)
    }
    const opened: Settle = (error) => {
      if (error || this.#handshake.targetSessionAttrs === undefined) settleOnce(error)
      else assertWritable(this).then(() => settleOnce(null), settleOnce)
    }
    this.#limitConnecting()
    super.connect(opened as never)
  }

  #limitConnecting(): void {
    if (this.#connectTimeoutMs === 0) return
    this.#connectLimit = startTimeLimit(() => {
      this.#hasTimedOut = true
      this.#socket.destroy(new Error('timeout expired'))
    }, this.#connectTimeoutMs)
  }

  /** True if connecting took longer than it may. */
  get hasTimedOut(): boolean {
    return this.#hasTimedOut
  }

  /** How long the other side was waited for until the connection was open; what we were busy meanwhile does not count. */
  get waitedMs(): number {
    return this.#connectLimit?.spentMs ?? 0
  }

  /** True if it was refused for the settings it asked for: the next one will ask for none. */
  get wasRefusedSettings(): boolean {
    return this.#wasRefusedSettings
  }

  /** The server's process, as it was announced. */
  get backendPid(): number | null {
    return (this as unknown as { processID: number | null }).processID
  }

  /** Says goodbye, and closes the socket soon also when nobody answers any more. */
  override end(callback?: (error: Error) => void): never {
    const timer = setTimeout(() => this.destroy(), GOODBYE_TIMEOUT_MS)
    timer.unref()
    this.once('end', () => clearTimeout(timer))
    return super.end(callback as never) as never
  }

  /** Closes the socket at once; whatever waits for an answer fails. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** True once the handshake of TLS has begun. */
  get isEncrypted(): boolean {
    return this.#socket instanceof TLSSocket
  }

  /** True if the other side has said anything, were it only that it has no TLS. */
  get wasHeard(): boolean {
    return this.isEncrypted || this.#socket.bytesRead > 0
  }

  /** True if the other side has ended the conversation. */
  get wasHungUp(): boolean {
    return this.#socket.readableEnded
  }

  /** True while a query waits for its answer, also one that was given up. */
  get isOwedAnAnswer(): boolean {
    return (this as unknown as { _getActiveQuery(): unknown })._getActiveQuery() != null
  }

  /** pg keeps it in clear for as long as the connection lives, and a connection is made once. */
  #forgetPassword(): void {
    const kept = this as unknown as Record<'password' | 'saslSession', unknown> & {
      readonly connectionParameters: { password: unknown }
    }
    kept.password = null
    kept.saslSession = null
    kept.connectionParameters.password = null
  }

  #failed(error: unknown): void {
    this.#wasRefusedSettings = !this.#beganPlain && databaseError(error)?.code === PROTOCOL_VIOLATION
    if (this.#wasRefusedSettings) this.traits.isPlain = true
    this.destroy()
  }

  #askForNothing(): void {
    const { connectionParameters } = this as unknown as { connectionParameters: StartupParameters }
    const none = { statement_timeout: 0, idle_in_transaction_session_timeout: 0 }
    Object.assign(connectionParameters, { options: endpointOption(this.#handshake).trimEnd(), ...none })
  }

  get #socket(): Socket {
    return this.#wire.stream
  }

  get #wire(): Wire {
    return (this as unknown as { connection: Wire }).connection
  }
}

function refuseClearText(this: pg.Client): void {
  const { connection } = this as unknown as { connection: NodeJS.EventEmitter }
  connection.emit(
    'error',
    Object.assign(new Error('clear-text password refused'), { code: 'CLEAR_TEXT_PASSWORD' }),
  )
}

/** Turns an address into pg's options. Every option that pg would else take from the environment is given. */
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

/** Neon's proxy reads it, and sends the rest on. */
function endpointOption(handshake: HandshakeOptions | undefined): string {
  return handshake?.endpoint === undefined ? '' : `endpoint=${handshake.endpoint} `
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

/** The server ends a slow statement; our own clock, a little later, ends the wait for a server that says nothing. */
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

/** What is to be said of a connection that could not be opened: a pooler that refuses also one that asks for nothing. */
export function connectFault(client: GuardedClient, error: unknown): unknown {
  const isRefused = client.traits.isPlain && databaseError(error)?.code === PROTOCOL_VIOLATION
  return isRefused ? new PoolerUnsupportedError('STARTUP', error) : error
}

export interface PoolLimits extends ConnectionLimits {
  readonly max: number
  readonly idleTimeoutMs: number
}

export interface PoolHooks {
  /** A subclass that counts its connections. */
  readonly Client?: typeof GuardedClient
  /** Looks at each new connection before it is lent for the first time; one for which this rejects serves nobody. */
  readonly verify?: (client: pg.ClientBase) => Promise<void>
}

interface PoolInternals {
  options: { connectionTimeoutMillis: number }
  newClient(pending: unknown): void
}
const internals = Pool.prototype as unknown as PoolInternals

/**
 * pg-pool has one limit for two waits: for an open connection, and for a new one to open. The client itself limits the second,
 * without the time in which our event loop was busy.
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

/** Makes a pool. */
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
  // A backend that dies while its connection is idle is no news to anyone: the pool drops it.
  pool.on('error', () => undefined)
  return pool
}

function verifyHook(verify: NonNullable<PoolHooks['verify']>) {
  return (client: pg.ClientBase, done: (error?: Error) => void): void => {
    verify(client).then(() => done(), done)
  }
}

/** What one round trip to a database tells: how long it took, and whether the database is read-only now. */
export interface Ping {
  readonly latencyMs: number
  readonly isReadOnly: boolean
}

/** True on a standby, and where the server's or the database's default is a read-only transaction. */
export const READS_ONLY = "pg_catalog.current_setting('transaction_read_only') = 'on'"

export { databaseError, errorCode } from './database-error.ts'
