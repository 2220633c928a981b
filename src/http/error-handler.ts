import type { Socket } from 'node:net'
import type { FastifyBaseLogger, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { declaredProblem, type OwnErrors, OwnProblem } from '../application/own-errors.ts'
import { type ErrorCode, type FieldError, fail, PublicError } from '../errors.ts'
import { causesOf } from '../lib/causes.ts'
import { databaseError } from '../lib/postgres/pg.ts'
import { escapePointer } from './transport/json-body.ts'
import { pathOf, STANDING_HEADERS } from './transport/request-head.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The code that was answered, for the log's line; null when all went well. */
    errorCode: ErrorCode | null
  }
}

const PROBLEM_TYPE = 'application/problem+json'
const MAX_FIELD_ERRORS = 20
const MAX_POINTER_LENGTH = 200

/** Makes every failure of a request leave as problem+json (RFC 9457) with a code of the table. */
export function answerErrorsAsProblems(server: FastifyInstance, errors: OwnErrors): void {
  if (!server.hasRequestDecorator('errorCode')) server.decorateRequest('errorCode', null)
  server.setErrorHandler((error, request, reply) => sendProblem(toPublicError(error, errors), request, reply))
  // Reached only by `reply.callNotFound()`: the corridor refuses unknown paths before their bodies are read.
  server.setNotFoundHandler((request, reply) => sendProblem(fail('NOT_FOUND'), request, reply))
}

/** Answers one error. What is not public is logged whole and told as INTERNAL_ERROR. */
export function sendProblem(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  log: FastifyBaseLogger = request.log,
): FastifyReply {
  const { problem, text } = written(toPublicError(error), request)
  logProblem(problem, log)
  request.errorCode = problem.code
  reply.code(problem.status).headers(headersOf(problem)).header('x-request-id', request.id)
  return reply.type(PROBLEM_TYPE).send(text)
}

/** An application may put into a problem what JSON has no form for. Fastify would answer that with what was wrong, in words. */
function written(problem: PublicError, request: FastifyRequest): { problem: PublicError; text: string } {
  try {
    return { problem, text: JSON.stringify(bodyOf(problem, request)) }
  } catch (cause) {
    const unwritten = fail('INTERNAL_ERROR', { cause })
    return { problem: unwritten, text: JSON.stringify(bodyOf(unwritten, request)) }
  }
}

function headersOf({ code, status, retryAfterSeconds }: PublicError): Record<string, string> {
  // Again, because what fails before the first hook has none yet.
  const headers: Record<string, string> = { ...STANDING_HEADERS }
  if (retryAfterSeconds !== null) headers['retry-after'] = String(retryAfterSeconds)
  if (code === 'SHUTTING_DOWN') headers.connection = 'close'
  // RFC 6750, section 3.1: what was wrong with a token that was given is said, that none was given is not.
  if (status === 401)
    headers['www-authenticate'] = code.startsWith('TOKEN_') ? 'Bearer error="invalid_token"' : 'Bearer'
  return headers
}

function bodyOf(problem: PublicError, { id, url }: { id: string; url: string }) {
  const { code, status, extra, message: title } = problem
  const detail = extra.detail ?? `${title}.`
  // Where it is the request as a whole that is not valid, the fault is at its root.
  const errors =
    extra.errors ?? (code === 'VALIDATION_FAILED' ? [{ pointer: '', message: detail }] : undefined)
  return {
    ...withoutStandard(extra.fields),
    type: `urn:freehold:error:${code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail,
    instance: pathOf(url),
    code,
    requestId: id,
    ...(extra.required !== undefined && { required: extra.required }),
    ...(errors !== undefined && { errors }),
  }
}

/** What every problem may have, and means the same in each; and the one by which a member would replace them all. */
const STANDARD: ReadonlySet<string> = new Set([
  ...['type', 'title', 'status', 'detail', 'instance', 'code', 'requestId', 'required', 'errors', 'toJSON'],
])

function withoutStandard(fields: Readonly<Record<string, unknown>> = {}) {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !STANDARD.has(name)))
}

function logProblem(problem: PublicError, log: FastifyBaseLogger): void {
  const err = problem.cause
  if (problem.status === 500) log.error({ err }, 'a request failed')
  else if (problem.status > 500 && err !== undefined)
    log.warn({ err, code: problem.code }, 'a request was turned away')
  else if (err !== undefined) log.debug({ err, code: problem.code }, 'a request was refused')
}

/** What fastify refuses by itself, in our codes. */
const FASTIFY_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'PAYLOAD_TOO_LARGE',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'UNSUPPORTED_MEDIA_TYPE',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'MALFORMED_JSON',
  FST_ERR_CTP_INVALID_JSON_BODY: 'MALFORMED_JSON',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'VALIDATION_FAILED',
  FST_ERR_BAD_URL: 'VALIDATION_FAILED',
  FST_ERR_MAX_PARAM_LENGTH: 'NOT_FOUND',
  FST_ERR_NOT_FOUND: 'NOT_FOUND',
  // The caller disconnected before the body had arrived. No one reads this answer.
  ECONNRESET: 'VALIDATION_FAILED',
}

/** Their messages repeat the whole URL, which may hold a token and is not to be logged. */
const QUOTING_URL = new Set(['FST_ERR_BAD_URL', 'FST_ERR_MAX_PARAM_LENGTH'])

/** A text holds U+0000, no UTF-8, or a character that a database in another encoding does not have. */
const CANNOT_BE_KEPT = new Set(['22021', '22P05'])

/** A constraint or trigger that no handler knows of: the owner of a database may add some. */
const RULE = /^23/

/** The public error that stands for any error. Decides on codes, never on messages. */
export function toPublicError(error: unknown, errors: OwnErrors = {}): PublicError {
  const told = publicErrorIn(error, errors)
  if (told !== null) return told
  if (!(error instanceof Error)) return fail('INTERNAL_ERROR', { cause: error })
  if (isValidationError(error)) return validationProblem(error)
  // Without the cause: what the server says quotes the caller's text.
  const state = databaseError(error)?.code ?? ''
  if (CANNOT_BE_KEPT.has(state))
    return fail('VALIDATION_FAILED', { detail: 'A text holds a character that cannot be kept.' })
  if (RULE.test(state)) return fail('CONFLICT', { detail: 'A rule of the database refuses this change.' })
  const code = 'code' in error && 'statusCode' in error ? String(error.code) : ''
  return fail(FASTIFY_CODES[code] ?? 'INTERNAL_ERROR', QUOTING_URL.has(code) ? {} : { cause: error })
}

/** drizzle wraps whatever its client throws, also what a session says of its database. */
function publicErrorIn(error: unknown, errors: OwnErrors): PublicError | null {
  for (const e of causesOf(error)) {
    if (e instanceof PublicError) return e
    if (e instanceof OwnProblem) return declaredProblem(e, errors) ?? undeclared(e)
  }
  return null
}

function undeclared({ code }: OwnProblem): PublicError {
  const cause = new Error(
    `problem("${code}"): declare the code in defineApplication({ errors: { ${code}: … } })`,
  )
  return fail('INTERNAL_ERROR', { cause })
}

interface SchemaFault {
  readonly instancePath: string
  readonly keyword: string
  readonly message?: string
  readonly params: Record<string, unknown>
}

interface ValidationError extends Error {
  readonly validation: readonly SchemaFault[]
  readonly validationContext?: string
}

function isValidationError(error: Error): error is ValidationError {
  return 'validation' in error && Array.isArray(error.validation)
}

function validationProblem({ validation, validationContext }: ValidationError): PublicError {
  // A path whose id cannot be one names nothing that exists.
  if (validationContext === 'params') return fail('NOT_FOUND')
  return fail('VALIDATION_FAILED', { errors: fieldErrors(validation) })
}

/** The faults a person can act on, one a place; a union adds one for itself that says nothing more. */
function fieldErrors(faults: readonly SchemaFault[]): FieldError[] {
  const telling = faults.filter(
    ({ keyword }) => keyword !== 'anyOf' && keyword !== 'oneOf' && keyword !== 'if',
  )
  const byPointer = new Map<string, FieldError>()
  for (const fault of telling.length > 0 ? telling : faults) {
    // A body can hold thousands, and to put each into words takes longer than everything else about it.
    if (byPointer.size === MAX_FIELD_ERRORS) break
    const pointer = pointerOf(fault).slice(0, MAX_POINTER_LENGTH)
    if (!byPointer.has(pointer)) byPointer.set(pointer, { pointer, message: messageOf(fault) })
  }
  return [...byPointer.values()]
}

function pointerOf({ instancePath, params }: SchemaFault): string {
  const name = params.missingProperty ?? params.additionalProperty ?? params.propertyName
  return typeof name === 'string' ? `${instancePath}/${escapePointer(name)}` : instancePath
}

/** What a text of a format looks like. */
const FORMATS: Readonly<Record<string, string>> = {
  'date-time': 'must be a moment with its offset, such as 2026-01-31T00:00:00Z',
  date: 'must be a day, such as 2026-01-31',
  uuid: 'must be a UUID',
  email: 'must be an email address',
}

function messageOf({ keyword, message, params }: SchemaFault): string {
  if (keyword === 'required') return 'is required'
  if (keyword === 'additionalProperties') return 'is not known here'
  if (keyword === 'pattern') return 'does not have the right form'
  if (keyword === 'format') return FORMATS[String(params.format)] ?? 'does not have the right form'
  if (keyword === 'enum')
    return `must be one of ${(params.allowedValues as unknown[]).map(String).join(', ')}`
  return message ?? 'is not valid'
}

const CLIENT_ERRORS: Readonly<Record<string, { status: string; code: ErrorCode }>> = {
  HPE_HEADER_OVERFLOW: { status: '431 Request Header Fields Too Large', code: 'VALIDATION_FAILED' },
  ERR_HTTP_REQUEST_TIMEOUT: { status: '408 Request Timeout', code: 'VALIDATION_FAILED' },
}

/** A credential, or (in a later packet) the middle of one. */
const LONG_TOKEN = /\r\nauthorization:[^\r\n]{1000}|^[\w.~+/=-]{1000}/i
const LINGER_MS = 1_000
const answered = new WeakMap<Socket, Told>()

/** What was answered to bytes that did not become a whole request. */
export interface Told {
  readonly status: number
  readonly code: ErrorCode
}

type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: unknown }

/** Answers what never became a request: bytes that are no HTTP, headers without end, a body that does not come. */
export function answerClientError(error: ClientError, socket: Socket): void {
  // What still arrives after the answer fails again; it is read and dropped.
  if (answered.has(socket)) return
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) {
    socket.destroy()
    return
  }
  const { status, code } = clientFaultOf(error)
  const told = { status: Number(status.slice(0, 3)), code }
  answered.set(socket, told)
  const requestId = crypto.randomUUID()
  const problem = { ...bodyOf(fail(code), { id: requestId, url: '' }), status: told.status }
  const body = JSON.stringify({ ...problem, instance: undefined })
  const head = [
    `HTTP/1.1 ${status}`,
    `Content-Type: ${PROBLEM_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${requestId}`,
    'Cache-Control: no-store',
    'Connection: close',
    ...(code === 'TOKEN_INVALID' ? ['WWW-Authenticate: Bearer error="invalid_token"'] : []),
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  // Closed at once, with bytes unread, the connection would be reset before the caller has read the answer.
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

/** What `answerClientError` has answered on this connection; null if nothing. */
export function toldTo(socket: Socket): Told | null {
  return answered.get(socket) ?? null
}

/** A token that is too long is refused as one, also where it is too long for a head. */
function clientFaultOf({ code, rawPacket }: ClientError): { status: string; code: ErrorCode } {
  const packet = Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1') : ''
  if (code === 'HPE_HEADER_OVERFLOW' && LONG_TOKEN.test(packet))
    return { status: '401 Unauthorized', code: 'TOKEN_INVALID' }
  return CLIENT_ERRORS[code ?? ''] ?? { status: '400 Bad Request', code: 'VALIDATION_FAILED' }
}
