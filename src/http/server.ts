import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { type FastifyBaseLogger, type FastifyInstance, fastify, LogController } from 'fastify'
import type { HttpDeps } from './deps.ts'
import { answerClientError, answerErrorsAsProblems, sendProblem } from './error-handler.ts'
import { publishRoutes, rememberRoutes } from './openapi/publish.ts'
import { ownRoutes } from './own/own-routes.ts'
import { decorateTenant } from './own/request-tenant.ts'
import { signCursors } from './paging.ts'
import { decorateRequests, guardRoutes } from './pipeline.ts'
import { accountRoutes } from './routes/accounts.ts'
import { authRoutes } from './routes/auth.ts'
import { clientKeyRoutes } from './routes/client-keys.ts'
import { keyRoutes, probeRoutes } from './routes/open.ts'
import { operatorAccountRoutes } from './routes/operator/accounts.ts'
import { operatorAuditRoutes } from './routes/operator/audit.ts'
import { operatorClientKeyRoutes } from './routes/operator/client-keys.ts'
import { operatorDatabaseRoutes } from './routes/operator/databases.ts'
import { operatorJobRoutes } from './routes/operator/jobs.ts'
import { operatorMigrationRoutes } from './routes/operator/migrations.ts'
import { operatorRoutes } from './routes/operator/operators.ts'
import { operatorRoleRoutes } from './routes/operator/roles.ts'
import { operatorSigningKeyRoutes } from './routes/operator/signing-keys.ts'
import { operatorTenantRoutes } from './routes/operator/tenants.ts'
import { operatorUserRoutes } from './routes/operator/users.ts'
import { registerResource } from './routes/resources.ts'
import { roleRoutes } from './routes/roles.ts'
import { tenantRoutes } from './routes/tenant.ts'
import { userRoutes } from './routes/users.ts'
import { compressAnswers } from './transport/compression.ts'
import { limitConnections } from './transport/connection-limit.ts'
import { answerOptions, answerOrigins } from './transport/cross-origin.ts'
import { acceptJsonBodies } from './transport/json-body.ts'
import { watchLoad } from './transport/load.ts'
import { requestIdOf } from './transport/request-head.ts'
import { observeRequests } from './transport/request-log.ts'
import { compileSerializer, compileValidator } from './transport/validation.ts'

const API_PREFIX = '/api/v1'
const BODY_LIMIT_BYTES = 1024 * 1024
const REQUEST_TIMEOUT_MS = 60_000
const HEADERS_TIMEOUT_MS = 15_000
/** All headers of a request together. Node's own limit is 16 KiB, which a token alone may have. */
const MAX_HEADERS_BYTES = 32 * 1024
const LATE_CHECK_MS = 5_000
/** Longer than any answer takes to begin. Who reads slowly is waited for; who does not read at all holds what was read for them. */
const STALL_TIMEOUT_MS = 300_000
const KEEP_ALIVE_TIMEOUT_MS = 72_000
const MAX_PARAM_LENGTH = 200
const API_ROUTES = [
  authRoutes,
  accountRoutes,
  tenantRoutes,
  userRoutes,
  roleRoutes,
  clientKeyRoutes,
  operatorTenantRoutes,
  operatorDatabaseRoutes,
  operatorJobRoutes,
  operatorMigrationRoutes,
  operatorUserRoutes,
  operatorRoleRoutes,
  operatorClientKeyRoutes,
  operatorSigningKeyRoutes,
  operatorRoutes,
  operatorAccountRoutes,
  operatorAuditRoutes,
] as const

const NO_SOCKETS = new WeakSet<Socket>()

/** Builds the server, ready to `listen`. A route without declared access throws here or at `ready()`. */
export function createServer(deps: HttpDeps): FastifyInstance {
  const { requestTimeoutMs = REQUEST_TIMEOUT_MS, stallTimeoutMs = STALL_TIMEOUT_MS } = deps.settings
  const server: FastifyInstance = fastify({
    loggerInstance: deps.log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestIdOf,
    bodyLimit: BODY_LIMIT_BYTES,
    requestTimeout: requestTimeoutMs,
    // Node looks for those who are late twice a minute, unless told otherwise.
    http: {
      headersTimeout: Math.min(HEADERS_TIMEOUT_MS, requestTimeoutMs),
      connectionsCheckingInterval: Math.min(LATE_CHECK_MS, requestTimeoutMs),
      maxHeaderSize: MAX_HEADERS_BYTES,
      requireHostHeader: false,
    },
    connectionTimeout: stallTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    trustProxy: deps.settings.trustedProxies.length > 0 ? [...deps.settings.trustedProxies] : false,
    routerOptions: { maxParamLength: MAX_PARAM_LENGTH },
    frameworkErrors: (error, request, reply) => void sendProblem(error, request, reply),
    clientErrorHandler: answerClientError,
  })
  speakLess(server, deps)
  answerUnusual(server)
  serveApi(server, deps)
  return server
}

/**
 * Serves the API on a server, or (`isInside`) on an encapsulated part of another Fastify, whose prefix it then stands below.
 * Probes, metrics, limits of connections and other origins are the host's there.
 */
export function serveApi(server: FastifyInstance, deps: HttpDeps, { isInside = false } = {}): void {
  if (isInside) takeNothingFromHost(server, deps)
  server.setValidatorCompiler(compileValidator)
  server.setSerializerCompiler(compileSerializer)
  acceptJsonBodies(server)
  decorate(server)
  answerErrorsAsProblems(server, deps.application.errors)
  const answerOptionsOfAll = answerOptions(server)
  const routes = rememberRoutes(server)
  if (!server.hasReplyDecorator('compress')) compressAnswers(server)
  if (!isInside) answerOrigins(server, deps.settings)
  publishRoutes(server, routes, { ...deps.settings, errors: deps.application.errors })
  observeRequests(server, deps)
  const { connections } = deps.settings
  const surplus = !isInside && connections !== undefined ? limitConnections(server, connections) : NO_SOCKETS
  guardRoutes(server, deps, { surplus, loop: watchLoad(server, deps.settings) })
  signCursors(server, deps.cursors)
  registerRoutes(server, deps, isInside)
  answerOptionsOfAll()
}

/** What requests carry for an application and for the core. Several gateways may stand in one server. */
export function decorate(server: FastifyInstance): void {
  decorateRequests(server)
  decorateTenant(server)
}

/** A host may have set another log, another form of ids and another limit for its own routes. */
function takeNothingFromHost(server: FastifyInstance, { log }: HttpDeps): void {
  server.setGenReqId((request) => requestIdOf(request as IncomingMessage))
  // What an error says to a log is decided by ours: it may hold the parameters of a statement.
  server.setChildLoggerFactory((_log, bindings, options) => {
    const [requestId] = Object.values(bindings)
    return log.child({ requestId }, options) as never
  })
  server.addHook('onRoute', (route) => {
    route.bodyLimit ??= BODY_LIMIT_BYTES
  })
}

/** Fastify tells where it listens too, in a sentence. That, and what else it says of itself, is for those who debug. */
function speakLess({ log }: FastifyInstance, deps: HttpDeps): void {
  // Children inherit what is replaced here, and requests' loggers are to tell everything: those are made by ours.
  Object.assign(log, { info: log.debug, child: deps.log.child.bind(deps.log) })
}

/** What Node would answer by itself, without a word of why. */
function answerUnusual({ server }: FastifyInstance): void {
  // RFC 9110, section 10.1.1: an expectation that is not known may be passed over.
  server.on('checkExpectation', (request, response) => server.emit('request', request, response))
  server.on('connect', (_request, socket) => answerClientError(new Error('CONNECT'), socket as Socket))
}

function registerRoutes(server: FastifyInstance, deps: HttpDeps, isInside: boolean): void {
  void server.register((root, _options, done) => {
    if (!isInside) probeRoutes(root, deps)
    keyRoutes(root, deps)
    done()
  })
  void server.register(
    (api, _options, done) => {
      for (const routes of API_ROUTES) routes(api, deps)
      for (const resource of deps.application.resources) registerResource(api, resource, deps)
      ownRoutes(api, deps)
      done()
    },
    { prefix: isInside ? '' : API_PREFIX },
  )
}
