import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import pg from 'pg'
import { startTimeLimit, type TimeLimit } from '../time-limit.ts'
import { checkWire, type Wire } from '../wire/checked-wire.ts'
import { assertWritable, enforceHandshake } from '../wire/handshake.ts'
import type { HandshakeOptions } from './connection-string.ts'
import { databaseError } from './database-error.ts'
import { PoolerUnsupportedError } from './pooler-faults.ts'
import { newServerTraits, type ServerTraits } from './server-traits.ts'
import type { SessionSetting } from './session-settings.ts'

export interface GuardedConfig extends pg.ClientConfig {
  readonly trustsServer?: boolean
  readonly maxAnswerBytes?: number
  /** Replaces pg's own limit: its timer cannot tell a silent server from a busy event loop. */
  readonly connectTimeoutMs?: number
  readonly traits?: ServerTraits
  readonly needsSession?: boolean
  /** The settings that its session must have once it is open. */
  readonly wanted?: readonly SessionSetting[]
  readonly handshake?: HandshakeOptions
}

/** The parameters of the startup message. pg's typings do not show them. */
type StartupParameters = Record<
  'options' | 'statement_timeout' | 'idle_in_transaction_session_timeout',
  unknown
>

type Done = (error: Error | null) => void

type AuthHandler = (this: pg.Client, message: unknown) => void
const clearTextHandler = '_handleAuthCleartextPassword'
const TERMINATE_TIMEOUT_MS = 2_000
/** A pooler's answer to a startup message with parameters that it does not know. */
const PROTOCOL_VIOLATION = '08P01'

/**
 * pg's client, with five rules of ours:
 * - An 'error' event without a listener does not end the process. The caller that waits for an answer gets the error.
 * - It sends no clear-text password to a server whose identity TLS has not verified.
 * - It cuts off an answer that is larger than the limit.
 * - It cuts off a server that breaks the protocol.
 * - It closes its socket when connecting fails.
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

  /** pg leaves the socket open when the failure is on our side: no password, or one that must not be sent. We close it. */
  override connect(callback?: unknown): never {
    if (callback !== undefined) return this.#connect(callback as Done) as never
    return new Promise<pg.Client>((resolve, reject) => {
      this.#connect((error) => (error ? reject(error) : resolve(this)))
    }) as never
  }

  /** Calls `done` once: the server may still report that it is ready after we have given up. */
  #connect(done: Done): void {
    this.#beganPlain = this.traits.isPlain
    if (this.#beganPlain) this.#requestNoSettings()
    let isDone = false
    const doneOnce: Done = (error) => {
      if (isDone) return
      isDone = true
      this.#connectLimit?.clear()
      if (error) this.#failed(error)
      done(error)
    }
    const opened: Done = (error) => {
      if (error || this.#handshake.targetSessionAttrs === undefined) doneOnce(error)
      else assertWritable(this).then(() => doneOnce(null), doneOnce)
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

  /** True if connecting exceeded its time limit. */
  get hasTimedOut(): boolean {
    return this.#hasTimedOut
  }

  /** How long we waited for the server until the connection was open. Time in which our event loop was busy does not count. */
  get waitedMs(): number {
    return this.#connectLimit?.spentMs ?? 0
  }

  /** True if the server refused the settings in the startup message. The next connection asks for none. */
  get wasRefusedSettings(): boolean {
    return this.#wasRefusedSettings
  }

  /** The process id that the server announced. */
  get backendPid(): number | null {
    return (this as unknown as { processID: number | null }).processID
  }

  /** Sends Terminate. Closes the socket after a time limit if the server does not answer. */
  override end(callback?: (error: Error) => void): never {
    const timer = setTimeout(() => this.destroy(), TERMINATE_TIMEOUT_MS)
    timer.unref()
    this.once('end', () => clearTimeout(timer))
    return super.end(callback as never) as never
  }

  /** Closes the socket at once. A query that waits for an answer fails. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** True once the TLS handshake has begun. */
  get isEncrypted(): boolean {
    return this.#socket instanceof TLSSocket
  }

  /** True if the server has sent anything, even only that it has no TLS. */
  get wasHeard(): boolean {
    return this.isEncrypted || this.#socket.bytesRead > 0
  }

  /** True if the server has closed its side of the connection. */
  get wasHungUp(): boolean {
    return this.#socket.readableEnded
  }

  /** True while a query waits for its answer, even if its caller has given up. */
  get isOwedAnAnswer(): boolean {
    return (this as unknown as { _getActiveQuery(): unknown })._getActiveQuery() != null
  }

  /** pg keeps the password in clear text while the connection lives. It is needed only once, to log in. */
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

  #requestNoSettings(): void {
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

/** Neon's proxy reads this option and passes the others on. */
export function endpointOption(handshake: HandshakeOptions | undefined): string {
  return handshake?.endpoint === undefined ? '' : `endpoint=${handshake.endpoint} `
}

/**
 * The error to report for a connection that could not be opened. A pooler that refuses even a startup message without
 * settings is not supported.
 */
export function connectFault(client: GuardedClient, error: unknown): unknown {
  const isRefused = client.traits.isPlain && databaseError(error)?.code === PROTOCOL_VIOLATION
  return isRefused ? new PoolerUnsupportedError('STARTUP', error) : error
}
