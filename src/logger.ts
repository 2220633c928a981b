/**
 * The log: JSON on stdout, one line for each event. This file, and not the code that logs, decides what a line may show. Fields with
 * sensitive names are masked at any depth. An object of a class is replaced by the name of the class, because a pool would print its connection string.
 * An error shows its codes and its message, never the row or the parameters of a statement.
 */
import { createRequire } from 'node:module'
import {
  type DestinationStream,
  destination,
  type Logger,
  type LoggerOptions,
  pino,
  stdTimeFunctions,
} from 'pino'

export type { Logger } from 'pino'

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const
export type LogLevel = (typeof LOG_LEVELS)[number]

const MASK = '[redacted]'
const MAX_DEPTH = 6
const MAX_ENTRIES = 50
const MAX_MESSAGE_LENGTH = 500
const MAX_FRAMES = 12

/**
 * Lines are written in blocks, or after `periodicFlush` milliseconds. One write for each line would cost a tenth of a request's time, and
 * a slow reader would stop the process. The remaining lines are written at exit; only a SIGKILL loses them. If more than `maxLength`
 * bytes wait, further lines are dropped, because a reader that has stopped must not fill our memory.
 */
const OUTPUT = { dest: 1, sync: false, minLength: 4_096, periodicFlush: 50, maxLength: 16 * 1024 * 1024 }

/** Time limit for the last lines of a process. Their reader may be slow or have ended. */
const LAST_FLUSH_MS = 1_000

const SENSITIVE_NAME =
  /(?:authorization|cookie|passw(?:or)?d|secret|token|connection-?_?string|database_?url|api-?_?key|client-?_?key|private-?_?key|encryption-?_?key|credentials?|params|parameters|values)$/i

/** The fields of a child logger do not pass `cleanFields`, so pino masks the likely names there. */
const CHILD_SECRETS = [
  ...[
    'authorization',
    'cookie',
    'password',
    'secret',
    'token',
    'accessToken',
    'refreshToken',
    'operatorToken',
  ],
  ...['connectionString', 'databaseUrl', 'apiKey', 'clientKey', 'privateKey', 'encryptionKey', 'credentials'],
]

/** Makes the logger of a process. On a terminal the lines are in colour. Tests replace stdout with `stream`. */
export function createLogger(level: LogLevel, stream?: DestinationStream): Logger {
  if (stream !== undefined) return pino(options(level), stream)
  const pretty = process.stdout.isTTY === true ? findPretty() : null
  return pino(options(level), pretty?.({ sync: true }) ?? boundedOutput())
}

/** pino-pretty is optional. Null without it: the lines stay JSON. */
function findPretty(): ((options: { sync: boolean }) => DestinationStream) | null {
  try {
    return createRequire(import.meta.url)('pino-pretty')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') return null
    throw error
  }
}

/**
 * At the end of a process pino writes the last lines in a loop that waits for the reader. If the reader has stopped, it waits for ever.
 * This stream waits at most `LAST_FLUSH_MS`; lines that the reader has not read by then are lost.
 */
function boundedOutput(): DestinationStream {
  let endsAt = Number.POSITIVE_INFINITY
  const output = destination({ ...OUTPUT, retryEAGAIN: () => performance.now() < endsAt })
  const flush = output.flushSync.bind(output)
  output.flushSync = () => {
    endsAt = Math.min(endsAt, performance.now() + LAST_FLUSH_MS)
    try {
      flush()
    } catch {
      // The log itself has failed, so the failure cannot be logged.
    }
  }
  return output
}

function options(level: LogLevel): LoggerOptions {
  return {
    level,
    base: null,
    timestamp: stdTimeFunctions.isoTime,
    redact: { paths: [...CHILD_SECRETS], censor: MASK },
    // `cleanFields` runs before the serializers, so the error is already described.
    serializers: { err: (value: unknown) => value },
    formatters: {
      level: (label) => ({ level: label }),
      log: cleanFields,
    },
    hooks: {
      // Without a message, pino would log the error's own message, which may hold parameters.
      logMethod(args, method) {
        const [first, message] = args as unknown[]
        const error = first instanceof Error ? first : (first as { err?: unknown } | null)?.err
        if (!(error instanceof Error)) return method.apply(this, args)
        const fields = first instanceof Error ? { err: first } : (first as object)
        const rest = args.slice(1) as [string?, ...unknown[]]
        if (message === undefined) return method.apply(this, [fields, String(describeError(error).message)])
        return method.apply(this, [fields, ...rest])
      },
    },
  }
}

function cleanFields(fields: Record<string, unknown>): Record<string, unknown> {
  return cleanObject(fields, 0)
}

function cleanObject(object: object, depth: number): Record<string, unknown> {
  const clean: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(object).slice(0, MAX_ENTRIES)) {
    clean[name] = SENSITIVE_NAME.test(name) ? MASK : cleanValue(value, depth + 1)
  }
  return clean
}

function cleanValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return value.includes('://') ? withoutUserInfo(value) : value
  if (typeof value !== 'object' || value === null) return typeof value === 'bigint' ? String(value) : value
  if (value instanceof Error) return describeError(value)
  if (value instanceof Date) return value
  if (depth > MAX_DEPTH) return '[…]'
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => cleanValue(item, depth + 1))
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === Object.prototype || prototype === null) return cleanObject(value, depth)
  return `[${value.constructor?.name ?? 'object'}]`
}

/** Fields of errors of drivers and of Node that show no data. `detail` and `where` do show data, so they are left out. */
const SAFE_FIELDS = [
  'code',
  'severity',
  'schema',
  'table',
  'column',
  'constraint',
  'routine',
  'errno',
  'syscall',
]

/** The parts of an error that may be logged: name, code, cleaned message and frames, and the same parts of its cause. */
export function describeError(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error))
    return { name: typeof error, message: 'a value that is not an Error was thrown' }
  const wrapped = error.cause
  // drizzle repeats the parameters of the statement in its message. The driver's error is the cause.
  const isQueryWrapper = 'params' in error && 'query' in error
  if (isQueryWrapper && wrapped instanceof Error && depth < MAX_DEPTH)
    return describeError(wrapped, depth + 1)
  const described: Record<string, unknown> = {
    name: error.name,
    message: isQueryWrapper ? 'a query failed' : cleanText(error.message),
  }
  for (const field of SAFE_FIELDS) {
    const value: unknown = Reflect.get(error, field)
    if (typeof value === 'string') described[field] = cleanText(value)
    else if (typeof value === 'number') described[field] = value
  }
  const stack = framesOf(error)
  if (stack !== '') described.stack = stack
  if (wrapped !== undefined && depth < MAX_DEPTH) described.cause = describeError(wrapped, depth + 1)
  return described
}

/** The stack without its first lines, which repeat the message uncleaned. */
function framesOf(error: Error): string {
  const lines = (error.stack ?? '').split('\n').filter((line) => /^ {4}at \S/.test(line))
  return lines.slice(0, MAX_FRAMES).map(cleanText).join('\n')
}

/** A hostile server can write anything into its messages. Removes control characters and credentials, and limits the length. */
function cleanText(text: string): string {
  const short = text.slice(0, MAX_MESSAGE_LENGTH)
  return withoutUserInfo(short.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' '))
}

function withoutUserInfo(text: string): string {
  return text.replace(/(\w:\/\/)[^\s/@]*(?:\/[^\s@]*)?@/g, `$1${MASK}@`)
}
