import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type pg from 'pg'
import type { HandshakeOptions } from '../postgres/connection-parameters.ts'

/** What we need of pg's client and connection while they connect; its typings do not show it. */
interface ConnectingClient {
  readonly connection: NodeJS.EventEmitter & {
    readonly stream: Socket
    /** Called for the bare socket and, instead, for the encrypted one once there is one. */
    attachListeners(stream: Socket): void
  }
  /** Null before SCRAM has begun, and again once the server has proven that it knows the password. */
  readonly saslSession: { readonly mechanism: string } | null
  _handleAuthSASL(message: { readonly mechanisms: readonly string[] }): void
  _handleAuthSASLFinal(message: unknown): void
}

type RefusalCode = 'CHANNEL_BINDING_REFUSED' | 'ALPN_REFUSED'

const BOUND_SCRAM = 'SCRAM-SHA-256-PLUS'
const ALPN_NAME = 'postgresql'

/** Has a client keep to what the connection string asks for and pg does not enforce by itself. To be called before it connects. */
export function enforceHandshake(
  client: pg.Client,
  { channelBinding, sslNegotiation }: HandshakeOptions,
): void {
  const connecting = client as unknown as ConnectingClient
  if (channelBinding === 'require') requireChannelBinding(connecting)
  if (sslNegotiation === 'direct') requireAlpn(connecting)
}

/**
 * Lets nothing but SCRAM bound to the TLS connection pass (RFC 5802, section 6): any other method would prove the password
 * to a server that may stand in between. pg binds where the server offers it, and goes on without where it does not.
 */
function requireChannelBinding(client: ConnectingClient): void {
  const { connection } = client
  const refuse = () => connection.emit('error', refusal('CHANNEL_BINDING_REFUSED'))
  const begin = client._handleAuthSASL
  const finish = client._handleAuthSASLFinal
  let isBound = false
  const handlers = {
    _handleAuthCleartextPassword: refuse,
    _handleAuthMD5Password: refuse,
    _handleAuthSASL: (message: { readonly mechanisms: readonly string[] }) => {
      const isOffered = message.mechanisms.includes(BOUND_SCRAM) && connection.stream instanceof TLSSocket
      if (isOffered) begin.call(client, message)
      else refuse()
    },
    _handleAuthSASLFinal: (message: unknown) => {
      const mechanism = client.saslSession?.mechanism
      finish.call(client, message)
      isBound = mechanism === BOUND_SCRAM && client.saslSession === null
    },
  }
  for (const [name, value] of Object.entries(handlers)) Object.defineProperty(client, name, { value })
  // A server that trusts anyone asks for nothing and proves nothing.
  connection.on('authenticationOk', () => {
    if (!isBound) refuse()
  })
}

/** Where TLS begins at once, a server that does not name the protocol may speak another one (libpq demands it too). */
function requireAlpn({ connection }: ConnectingClient): void {
  const attach = connection.attachListeners.bind(connection)
  connection.attachListeners = (stream) => {
    if (stream instanceof TLSSocket) checkAlpn(stream)
    attach(stream)
  }
}

function checkAlpn(stream: TLSSocket): void {
  let isSecured = false
  stream.once('secureConnect', () => {
    isSecured = true
    if (stream.alpnProtocol !== ALPN_NAME) stream.destroy(refusal('ALPN_REFUSED'))
  })
  // A server that knows no such beginning hangs up. Heard before pg's own listener, which passes the error on.
  stream.once('error', (error: NodeJS.ErrnoException) => {
    if (!isSecured && error.code === 'ECONNRESET') error.code = 'ALPN_REFUSED' satisfies RefusalCode
  })
}

/** As libpq does for target_session_attrs=read-write: a standby, and a database that is read-only by default, are refused. */
export async function assertWritable(client: pg.Client): Promise<void> {
  const text = "SELECT pg_catalog.current_setting('transaction_read_only') AS answer"
  const { rows } = await client.query<{ answer: string }>(text)
  if (rows[0]?.answer !== 'off')
    throw Object.assign(new Error('the server takes no writes'), { code: 'READ_ONLY' })
}

function refusal(code: RefusalCode): Error {
  return Object.assign(new Error('the server does not take part in what the connection string requires'), {
    code,
  })
}
