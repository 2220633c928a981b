import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type pg from 'pg'
import type { HandshakeOptions } from '../postgres/connection-parameters.ts'

/** The parts of pg's client and connection that we use while they connect. pg's typings do not show them. */
interface ConnectingClient {
  readonly connection: NodeJS.EventEmitter & {
    readonly stream: Socket
    /** pg calls this with the socket that it reads: the plain one or, with TLS, the encrypted one. */
    attachListeners(stream: Socket): void
  }
  /** Null before SCRAM begins, and again after the server has proven that it knows the password. */
  readonly saslSession: { readonly mechanism: string } | null
  _handleAuthSASL(message: { readonly mechanisms: readonly string[] }): void
  _handleAuthSASLFinal(message: unknown): void
}

type RefusalCode = 'CHANNEL_BINDING_REFUSED' | 'ALPN_REFUSED'

const BOUND_SCRAM = 'SCRAM-SHA-256-PLUS'
const ALPN_NAME = 'postgresql'

/** Enforces the demands of the connection string that pg does not enforce itself. Call before the client connects. */
export function enforceHandshake(
  client: pg.Client,
  { channelBinding, sslNegotiation }: HandshakeOptions,
): void {
  const connecting = client as unknown as ConnectingClient
  if (channelBinding === 'require') requireChannelBinding(connecting)
  if (sslNegotiation === 'direct') requireAlpn(connecting)
}

/**
 * Accepts only SCRAM that is bound to the TLS connection (RFC 5802, section 6). Any other method would prove the password to
 * a server in the middle. pg uses channel binding if the server offers it, and otherwise continues without it.
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
  // A server with `trust` authentication asks for no password and proves nothing.
  connection.on('authenticationOk', () => {
    if (!isBound) refuse()
  })
}

/** With direct TLS the server must name the protocol by ALPN, because it may speak another one. libpq demands this too. */
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
  // A server without direct TLS closes the connection. This listener runs before pg's own, which reports the error.
  stream.once('error', (error: NodeJS.ErrnoException) => {
    if (!isSecured && error.code === 'ECONNRESET') error.code = 'ALPN_REFUSED' satisfies RefusalCode
  })
}

/** Refuses a standby and a database that is read-only by default, as libpq does for target_session_attrs=read-write. */
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
