import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { wantedSettings } from '../../src/lib/postgres/session-settings.ts'
import { type Column, dataRow, int32, message, ready, refusal, row, zeroEnded } from './backend-messages.ts'

/**
 * - hang: accepts connections and sends nothing.
 * - mute: accepts every login and answers no query.
 * - garbage: answers with bytes that look random.
 * - clear-text: asks for the password in clear text and records it.
 * - liar: accepts every login and gives false answers to queries, its version included.
 * - flood: accepts every login and answers the first query with endless rows.
 * - chatter: accepts every login and reports endlessly that it is ready, asked or not.
 * - grumbler: accepts every login and refuses each query with a message of 100 kB.
 * - rude-error: refuses with a message full of line breaks and terminal escapes.
 */
export type FakeBehaviour =
  | 'hang'
  | 'mute'
  | 'garbage'
  | 'clear-text'
  | 'flood'
  | 'chatter'
  | 'grumbler'
  | 'rude-error'
  | { kind: 'liar'; serverVersion: string; answer?: (sql: string) => string | null }

export interface FakeServer {
  readonly host: '127.0.0.1'
  readonly port: number
  /** Passwords that clients sent in clear text. */
  readonly passwords: string[]
  /** Statements that clients have sent. */
  readonly statements: string[]
  /** Connections accepted so far. */
  readonly accepted: () => number
  urlFor(user: string, password: string, database: string): string
  close(): Promise<void>
}

const PID = 4711

/** The settings of a session that a validation expects. */
const LIMITS = { statementTimeoutMs: 5_000, idleInTransactionMs: 60_000, plansOnce: false }
function asAsked(setting: string): string | undefined {
  return wantedSettings(LIMITS).find(({ name }) => name === setting)?.value
}

/** Starts a fake PostgreSQL server on the loopback address. */
export async function startFakeServer(behaviour: FakeBehaviour): Promise<FakeServer> {
  const sockets = new Set<Socket>()
  const passwords: string[] = []
  const statements: string[] = []
  let accepted = 0
  const server = createServer((socket) => {
    accepted++
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    speak(socket, { behaviour, passwords, statements })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const port = address !== null && typeof address === 'object' ? address.port : 0
  return {
    host: '127.0.0.1',
    port,
    passwords,
    statements,
    accepted: () => accepted,
    urlFor: (user, password, database) =>
      `postgresql://${user}:${password}@127.0.0.1:${port}/${database}?sslmode=disable`,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

interface Conversation {
  behaviour: FakeBehaviour
  passwords: string[]
  statements: string[]
}

function speak(socket: Socket, conversation: Conversation): void {
  const { behaviour } = conversation
  if (behaviour === 'hang') return void socket.resume()
  if (behaviour === 'garbage') {
    socket.resume()
    socket.write(Buffer.from(Array.from({ length: 4096 }, (_, index) => (index * 197 + 13) % 256)))
    return
  }
  readMessages(socket, (type, body) => {
    if (type === 'startup') start(socket, behaviour)
    else answerMessage(socket, conversation, { type, body })
  })
}

function start(socket: Socket, behaviour: FakeBehaviour): void {
  if (behaviour === 'clear-text') return void socket.write(message('R', int32(3)))
  if (behaviour === 'rude-error') return void socket.end(rudeError())
  const version = typeof behaviour === 'object' ? behaviour.serverVersion : '18.0'
  socket.write(Buffer.concat([message('R', int32(0)), parameter('server_version', version), welcome()]))
  if (behaviour === 'chatter') void repeat(socket, Buffer.concat(Array.from({ length: 10_000 }, ready)))
}

function answerMessage(
  socket: Socket,
  conversation: Conversation,
  got: { type: string; body: Buffer },
): void {
  const { behaviour, passwords, statements } = conversation
  const { type, body } = got
  if (type === 'p') {
    passwords.push(text(body))
    socket.write(Buffer.concat([message('R', int32(0)), parameter('server_version', '18.0'), welcome()]))
  } else if (type === 'Q' || type === 'P') {
    // Parse has the statement's name before its text.
    const sql = type === 'Q' ? text(body) : text(body.subarray(body.indexOf(0) + 1))
    statements.push(sql)
    if (behaviour === 'mute' || behaviour === 'chatter') return
    if (behaviour === 'flood') void flood(socket)
    else if (behaviour === 'grumbler') socket.write(Buffer.concat([grumble(), ready()]))
    else if (type === 'Q') socket.write(Buffer.concat([...row(answersTo(sql, behaviour)), ready()]))
    else socket.write(message('1'))
  } else if (behaviour !== 'flood' && behaviour !== 'mute' && behaviour !== 'chatter')
    answerExtended(socket, type, answersTo(statements.at(-1) ?? '', behaviour))
}

function answerExtended(socket: Socket, type: string, columns: readonly Column[]): void {
  const [description, ...rest] = row(columns)
  if (type === 'B') socket.write(message('2'))
  else if (type === 'D') socket.write(description ?? Buffer.alloc(0))
  else if (type === 'E') socket.write(Buffer.concat(rest))
  else if (type === 'S') socket.write(ready())
  else if (type === 'X') socket.end()
}

/** A column for each `expression AS name`. If there is none, one column named `value`. */
function answersTo(sql: string, behaviour: FakeBehaviour): Column[] {
  const named = [...sql.matchAll(/([^,]*?)\sAS\s+(\w+)/gi)]
  if (named.length === 0) return [{ name: 'value', value: answerTo(sql, behaviour) }]
  return named.map(([, expression = '', name = '']) => ({ name, value: answerTo(expression, behaviour) }))
}

function answerTo(sql: string, behaviour: FakeBehaviour): string | null {
  if (typeof behaviour !== 'object') return '1'
  const custom = behaviour.answer?.(sql)
  if (custom !== undefined && custom !== null) return custom
  const [major = '0', minor = '0'] = behaviour.serverVersion.split('.')
  if (/server_version_num/i.test(sql)) {
    return Number(major) >= 10 ? `${major}${minor.padStart(4, '0')}` : `${major}${minor.padStart(2, '0')}00`
  }
  // Any other answer would look like a pooler's.
  if (/pg_backend_pid/.test(sql)) return String(PID)
  const [, setting = ''] = /current_setting\('(\w+)'\)/.exec(sql) ?? []
  const asked = asAsked(setting)
  if (asked !== undefined) return asked
  return /version/i.test(sql) ? behaviour.serverVersion : '1'
}

async function flood(socket: Socket): Promise<void> {
  const [description = Buffer.alloc(0)] = row([{ name: 'value', value: '' }])
  const rows = Buffer.concat(Array.from({ length: 64 }, () => dataRow('x'.repeat(16_384))))
  socket.write(description)
  await repeat(socket, rows)
}

async function repeat(socket: Socket, bytes: Buffer): Promise<void> {
  while (socket.writable) {
    if (!socket.write(bytes))
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => {})
    await nextTurn()
  }
}

/** Divides a client's bytes into messages. The first message has no type byte, and an SSL or GSS request may come before it. */
export function readMessages(socket: Duplex, onMessage: (type: string, body: Buffer) => void): void {
  let buffer: Buffer = Buffer.alloc(0)
  let started = false
  socket.on('data', (chunk) => {
    buffer = Buffer.concat([buffer, chunk])
    for (;;) {
      const head = started ? 1 : 0
      if (buffer.length < head + 4) return
      const end = head + buffer.readInt32BE(head)
      if (buffer.length < end) return
      const type = started ? String.fromCharCode(buffer[0] ?? 0) : 'startup'
      const body = buffer.subarray(head + 4, end)
      buffer = buffer.subarray(end)
      if (!started && isEncryptionRequest(body)) {
        socket.write('N')
        continue
      }
      started = true
      onMessage(type, body)
    }
  })
}

function isEncryptionRequest(body: Buffer): boolean {
  return body.length === 4 && [80877103, 80877104].includes(body.readInt32BE(0))
}

function text(body: Buffer): string {
  const end = body.indexOf(0)
  return body.subarray(0, end === -1 ? body.length : end).toString()
}

function parameter(name: string, value: string): Buffer {
  return message('S', zeroEnded(name), zeroEnded(value))
}

function welcome(): Buffer {
  const encoding = parameter('client_encoding', 'UTF8')
  return Buffer.concat([encoding, message('K', int32(PID), int32(815)), ready()])
}

function rudeError(): Buffer {
  return refusal([
    'SFATAL',
    'VFATAL',
    'C28000',
    'Mno\r\nlevel=30 msg="forged line"\u001b[2J\u001b]0;owned\u0007',
  ])
}

function grumble(): Buffer {
  return refusal(['SERROR', 'VERROR', 'C42601', `M${'no, '.repeat(25_000)}`])
}
