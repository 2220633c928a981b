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
import { operatorExplainRoutes } from './routes/operator/explain.ts'
import { operatorJobRoutes } from './routes/operator/jobs.ts'
import { operatorMigrationRoutes } from './routes/operator/migrations.ts'
import { operatorRoutes } from './routes/operator/operators.ts'
import { operatorRoleRoutes } from './routes/operator/roles.ts'
import { operatorServerRoutes } from './routes/operator/servers.ts'
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
/** For all headers of a request together. A token alone may need 16 KiB, which is Node's own limit. */
const MAX_HEADERS_BYTES = 32 * 1024
const LATE_CHECK_MS = 5_000
/** Longer than any answer takes to begin. A caller that reads slowly is served; a caller that does not read at all is cut off. */
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
  operatorExplainRoutes,
  operatorDatabaseRoutes,
  operatorJobRoutes,
  operatorMigrationRoutes,
  operatorServerRoutes,
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
    // By default, Node looks for late requests only twice a minute.
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
    frameworkErrors: (error, _request, reply) => void sendProblem(error, reply),
    clientErrorHandler: answerClientError,
  })
  lowerFastifyLogs(server, deps)
  answerUnusualRequests(server)
  serveApi(server, deps)
  return server
}

/**
 * Serves the API on a server, or (`isInside`) on an encapsulated part of a host's Fastify, below its prefix. A host has its own
 * probes, metrics, connection limits and CORS.
 */
export function serveApi(server: FastifyInstance, deps: HttpDeps, { isInside = false } = {}): void {
  if (isInside) overrideHostSettings(server, deps)
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

/** Adds the properties to requests that the core and an application read. Several gateways may share a server. */
export function decorate(server: FastifyInstance): void {
  decorateRequests(server)
  decorateTenant(server)
}

/** A host may have set another log, another form of request ids and another body limit for its own routes. */
function overrideHostSettings(server: FastifyInstance, { log }: HttpDeps): void {
  server.setGenReqId((request) => requestIdOf(request as IncomingMessage))
  // Our logger decides which parts of an error are logged: an error may hold the parameters of a statement.
  server.setChildLoggerFactory((_log, bindings, options) => {
    const [requestId] = Object.values(bindings)
    return log.child({ requestId }, options) as never
  })
  server.addHook('onRoute', (route) => {
    route.bodyLimit ??= BODY_LIMIT_BYTES
  })
}

/** Fastify's own messages, such as the address on which it listens, are logged at debug level. */
function lowerFastifyLogs({ log }: FastifyInstance, deps: HttpDeps): void {
  // Children would inherit the changed `info`, so our logger makes the loggers of requests.
  Object.assign(log, { info: log.debug, child: deps.log.child.bind(deps.log) })
}

/** Node would answer these requests by itself, without a problem body. */
function answerUnusualRequests({ server }: FastifyInstance): void {
  // RFC 9110, section 10.1.1: a server may ignore an unknown expectation.
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
