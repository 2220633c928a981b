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
    /** The error code of the answer, for the log. Null if the request succeeded. */
    errorCode: ErrorCode | null
  }
}

const PROBLEM_TYPE = 'application/problem+json'
const MAX_FIELD_ERRORS = 20
const MAX_POINTER_LENGTH = 200

/** Answers every failure of a request with problem+json (RFC 9457) and a code of the error table. */
export function answerErrorsAsProblems(server: FastifyInstance, errors: OwnErrors): void {
  if (!server.hasRequestDecorator('errorCode')) server.decorateRequest('errorCode', null)
  server.setErrorHandler((error, _request, reply) => sendProblem(toPublicError(error, errors), reply))
  // Only `reply.callNotFound()` leads here: the gates refuse unknown paths before their bodies are read.
  server.setNotFoundHandler((_request, reply) => sendProblem(fail('NOT_FOUND'), reply))
}

/** Answers one error. An error that is not public is logged whole and answered as INTERNAL_ERROR. */
export function sendProblem(
  error: unknown,
  reply: FastifyReply,
  log: FastifyBaseLogger = reply.request.log,
): FastifyReply {
  const { request } = reply
  const { problem, text } = serialized(toPublicError(error), request)
  logProblem(problem, log)
  request.errorCode = problem.code
  reply.code(problem.status).headers(headersOf(problem)).header('x-request-id', request.id)
  return reply.type(PROBLEM_TYPE).send(text)
}

/** An application's problem may hold values that JSON cannot. Fastify's own answer to that would show the error's message. */
function serialized(problem: PublicError, request: FastifyRequest): { problem: PublicError; text: string } {
  try {
    return { problem, text: JSON.stringify(bodyOf(problem, request)) }
  } catch (cause) {
    const internal = fail('INTERNAL_ERROR', { cause })
    return { problem: internal, text: JSON.stringify(bodyOf(internal, request)) }
  }
}

function headersOf({ code, status, retryAfterSeconds }: PublicError): Record<string, string> {
  // A request that fails before the first hook has no security headers yet.
  const headers: Record<string, string> = { ...STANDING_HEADERS }
  if (retryAfterSeconds !== null) headers['retry-after'] = String(retryAfterSeconds)
  if (code === 'SHUTTING_DOWN') headers.connection = 'close'
  // RFC 6750, section 3.1: the header names an error only if the request had a token.
  if (status === 401)
    headers['www-authenticate'] = code.startsWith('TOKEN_') ? 'Bearer error="invalid_token"' : 'Bearer'
  return headers
}

function bodyOf(problem: PublicError, { id, url }: { id: string; url: string }) {
  const { code, status, extra, message: title } = problem
  const detail = extra.detail ?? `${title}.`
  // If the request as a whole is not valid, the pointer names its root.
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

/** Members that mean the same in every problem. An application cannot set them, nor `toJSON`, which would replace all of them. */
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
    log.warn({ err, code: problem.code }, 'a request could not be served')
  else if (err !== undefined) log.debug({ err, code: problem.code }, 'a request was refused')
}

/** Our codes for the errors with which Fastify itself refuses. */
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

/** The messages of these errors repeat the URL. It may hold a token, so they are not logged. */
const QUOTING_URL = new Set(['FST_ERR_BAD_URL', 'FST_ERR_MAX_PARAM_LENGTH'])

/** A text holds U+0000, is not UTF-8, or holds a character that the database's encoding lacks. */
const UNSTORABLE_TEXT = new Set(['22021', '22P05'])

/** A constraint or trigger that no handler knows. The owner of a database may have added it. */
const RULE = /^23/

/** The public error for any error. Decides on codes, never on messages. */
export function toPublicError(error: unknown, errors: OwnErrors = {}): PublicError {
  const known = publicErrorIn(error, errors)
  if (known !== null) return known
  if (!(error instanceof Error)) return fail('INTERNAL_ERROR', { cause: error })
  if (isValidationError(error)) return validationProblem(error)
  // The public errors have no cause, because the server's message quotes the caller's text.
  const state = databaseError(error)?.code ?? ''
  if (UNSTORABLE_TEXT.has(state))
    return fail('VALIDATION_FAILED', { detail: 'A text holds a character that cannot be stored.' })
  if (RULE.test(state)) return fail('CONFLICT', { detail: 'A rule of the database refuses this change.' })
  const code = 'code' in error && 'statusCode' in error ? String(error.code) : ''
  return fail(FASTIFY_CODES[code] ?? 'INTERNAL_ERROR', QUOTING_URL.has(code) ? {} : { cause: error })
}

/** drizzle wraps every error of its client, also the public errors of a session. */
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
  // A path whose id has the wrong form names nothing that exists.
  if (validationContext === 'params') return fail('NOT_FOUND')
  return fail('VALIDATION_FAILED', { errors: fieldErrors(validation) })
}

/** At most one fault for each pointer. The fault that a union adds for itself is left out, because it says nothing more. */
function fieldErrors(faults: readonly SchemaFault[]): FieldError[] {
  const telling = faults.filter(
    ({ keyword }) => keyword !== 'anyOf' && keyword !== 'oneOf' && keyword !== 'if',
  )
  const byPointer = new Map<string, FieldError>()
  for (const fault of telling.length > 0 ? telling : faults) {
    // A body can have thousands of faults, and their messages would take longer than the rest of the request.
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

/** The message for a text that does not have the format. */
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

/** Matches a long credential, or the middle of one if the head came in several packets. */
const LONG_TOKEN = /\r\nauthorization:[^\r\n]{1000}|^[\w.~+/=-]{1000}/i
const LINGER_MS = 1_000
const answered = new WeakMap<Socket, ClientAnswer>()

/** The answer to bytes that did not become a whole request. */
export interface ClientAnswer {
  readonly status: number
  readonly code: ErrorCode
}

type ClientError = NodeJS.ErrnoException & { readonly rawPacket?: unknown }

/** Answers bytes that did not become a request: not HTTP, headers that are too long, or a body that does not arrive in time. */
export function answerClientError(error: ClientError, socket: Socket): void {
  // Bytes that arrive after the answer fail again. They are dropped.
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
  // A connection that is closed with unread bytes is reset, perhaps before the caller has read the answer. So it is closed later.
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
}

/** The answer of `answerClientError` on this connection. Null if there was none. */
export function answerSentTo(socket: Socket): ClientAnswer | null {
  return answered.get(socket) ?? null
}

/** A token that makes the head too long is answered as an invalid token. */
function clientFaultOf({ code, rawPacket }: ClientError): { status: string; code: ErrorCode } {
  const packet = Buffer.isBuffer(rawPacket) ? rawPacket.toString('latin1') : ''
  if (code === 'HPE_HEADER_OVERFLOW' && LONG_TOKEN.test(packet))
    return { status: '401 Unauthorized', code: 'TOKEN_INVALID' }
  return CLIENT_ERRORS[code ?? ''] ?? { status: '400 Bad Request', code: 'VALIDATION_FAILED' }
}
