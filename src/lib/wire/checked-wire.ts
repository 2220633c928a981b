import type { Socket } from 'node:net'
import { BackendFrames } from './backend-frames.ts'
import { AnswerTooLarge, ProtocolViolation } from './backend-messages.ts'
import { Step } from './exchange-states.ts'
import { HandlerFault } from './handler-fault.ts'

type Send = (...parts: never[]) => void

/** The part of pg's connection that we use. pg's typings do not show it. */
export interface Wire extends NodeJS.EventEmitter {
  readonly stream: Socket
  readonly ssl: unknown
  readonly sslNegotiation: string
  connect(port: number, host: string): void
  /** pg calls this with the socket that it reads: the plain one or, with TLS, the encrypted one. */
  attachListeners(stream: Socket): void
}

/** The methods by which pg sends messages, and the answers that each requires from the server. */
const ANSWERED: Readonly<Record<string, readonly Step[]>> = {
  startup: [Step.ready],
  query: [Step.query, Step.ready],
  parse: [Step.parse],
  bind: [Step.bind],
  execute: [Step.execute],
  close: [Step.close],
  sync: [Step.ready],
}
const STATEMENT_DESCRIBED = [Step.parameters, Step.describe]
const PORTAL_DESCRIBED = [Step.describe]
const SCRAM = ['sendSASLInitialResponseMessage', 'sendSCRAMClientFinalMessage']

const SSL_YES = 0x53
const SSL_NO = 0x4e
const ERROR = 0x45

/** What the data of a stream is checked with. */
interface Checks {
  readonly frames: BackendFrames
  /** True if a handler of a message threw the error, and not pg's parser. */
  readonly isOfHandler: (error: unknown) => boolean
}

/**
 * Checks everything that a server sends before pg reads it. A violation, or an error that is thrown while an answer is read or
 * handled, ends this one connection. Only the callers that wait for an answer on it receive the error.
 */
export function checkWire(wire: Wire, maxAnswerBytes?: number): void {
  const frames = new BackendFrames(maxAnswerBytes)
  const isOfHandler = watchHandlers(wire)
  watchSent(wire as unknown as Record<string, Send>, frames)
  checkTlsAnswer(wire)
  const attach = wire.attachListeners.bind(wire)
  wire.attachListeners = (stream) => attach(checkedStream(stream, { frames, isOfHandler }) as Socket)
}

function watchSent(wire: Record<string, Send>, frames: BackendFrames): void {
  for (const [method, steps] of Object.entries(ANSWERED)) after(wire, method, () => expectAll(frames, steps))
  for (const method of SCRAM) after(wire, method, () => frames.saidScram())
  after(wire, 'describe', ({ type }: { type: string }) =>
    expectAll(frames, type === 'S' ? STATEMENT_DESCRIBED : PORTAL_DESCRIBED),
  )
}

/** pg's parser reads a message and then emits it. What is thrown after that is no fault of the server. */
function watchHandlers(wire: Wire): Checks['isOfHandler'] {
  const emit = wire.emit.bind(wire)
  let thrown: { readonly error: unknown } | null = null
  wire.emit = (name, ...heard) => {
    try {
      return emit(name, ...heard)
    } catch (error) {
      thrown = { error }
      throw error
    }
  }
  return (error) => thrown !== null && thrown.error === error
}

function expectAll(frames: BackendFrames, steps: readonly Step[]): void {
  for (const step of steps) frames.expect(step)
}

/** Calls `note` after `method` has sent its message. If `method` throws because a value cannot be encoded, `note` is not called. */
function after(wire: Record<string, Send>, method: string, note: (message: never) => void): void {
  const send = wire[method]?.bind(wire) as (one?: unknown, other?: unknown) => void
  wire[method] = (one?: unknown, other?: unknown) => {
    send(one, other)
    note(one as never)
  }
}

/** The part of a stream that pg's parser uses. */
function checkedStream(stream: Socket, checks: Checks): Pick<Socket, 'on'> {
  const on = (event: string, listener: (...heard: unknown[]) => void) =>
    stream.on(event, event === 'data' ? checked(stream, checks, listener) : listener)
  return { on } as Pick<Socket, 'on'>
}

function checked(stream: Socket, checks: Checks, parse: (messages: Buffer) => void) {
  return (chunk: Buffer): void => {
    try {
      const messages = checks.frames.accept(chunk)
      if (messages !== null) parse(messages)
    } catch (error) {
      stream.destroy(faultFor(error, checks))
    }
  }
}

function faultFor(error: unknown, { isOfHandler }: Checks): Error {
  if (error instanceof ProtocolViolation || error instanceof AnswerTooLarge) return error
  if (isOfHandler(error)) return new HandlerFault(error)
  return new ProtocolViolation('a message that cannot be read', error)
}

/**
 * The server answers SSLRequest with one byte, and nothing may follow it in the same packet. Otherwise an attacker could add
 * plain text there, and pg would read it as if it came through TLS. pg itself refuses an error message.
 */
function checkTlsAnswer(wire: Wire): void {
  const connect = wire.connect.bind(wire)
  wire.connect = (port, host) => {
    connect(port, host)
    if (!wire.ssl || wire.sslNegotiation === 'direct') return
    const { stream } = wire
    stream.prependOnceListener('data', (answer: Buffer) => {
      const [byte] = answer
      if (byte === ERROR || (answer.length === 1 && (byte === SSL_YES || byte === SSL_NO))) return
      wire.emit('error', new ProtocolViolation('the question for TLS was answered with something else'))
      stream.destroy()
    })
  }
}
