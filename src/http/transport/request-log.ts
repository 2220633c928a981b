import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Route } from '../../catalog/directory.ts'
import type { ErrorCode } from '../../errors.ts'
import { isUuid } from '../../lib/ids.ts'
import type { Metrics } from '../../metrics.ts'
import { noteRefusal } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { answerSentTo } from '../error-handler.ts'
import { stateOf } from '../pipeline.ts'
import { pathOf } from './request-head.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** True once the request is logged. An answer may fail after its connection has ended. */
    isObserved: boolean
  }
  interface FastifyContextConfig {
    /** The route's URL as it was declared. */
    template?: string
    /** Probes come every second, so they are logged at debug level. */
    logAs?: 'info' | 'debug'
  }
}

const MAX_LOGGED_PATH = 256
/** The paths of operators that name a tenant have this in their template. */
const OF_A_TENANT = '/tenants/:id'
/** Segments that look like words of our paths. A mistyped word usually matches too. */
const WORD = /^(?:[a-z.-]{1,24}|v[0-9])$/
/** The status that proxies log if the caller disconnects before the answer. */
const CLIENT_CLOSED_REQUEST = 499

/** Measures and logs each request once, when it is over. */
export function observeRequests(server: FastifyInstance, { metrics }: HttpDeps): void {
  if (!server.hasRequestDecorator('isObserved')) server.decorateRequest('isObserved', false)
  server.addHook('onRoute', (route: RouteOptions) => {
    const probe = route.config?.access?.kind === 'open' && route.config.access.probe === true
    route.config = { ...route.config, template: route.url, logAs: probe ? 'debug' : 'info' }
  })
  server.addHook('onRequest', (request, reply, done) => {
    // Fastify calls no onResponse for an answer that was cut off.
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) observe(request, reply, { metrics, ...cutOff(request, reply) })
    })
    done()
  })
  server.addHook('onResponse', (request, reply, done) => {
    const { statusCode: status } = reply
    if (status === 403 && request.errorCode !== null) noteRefusal(request, request.errorCode)
    observe(request, reply, { metrics, status, code: request.errorCode })
    done()
  })
}

interface Seen {
  readonly metrics: Metrics
  readonly status: number
  readonly code: ErrorCode | null
  readonly aborted?: true
}

/** The answer to log if the connection ended early: its head was sent, or a timeout error, or nothing. */
function cutOff({ raw, errorCode }: FastifyRequest, reply: FastifyReply): Omit<Seen, 'metrics'> {
  // If the request's body is incomplete, the caller has left and gets no answer.
  if (reply.raw.headersSent && raw.complete)
    return { status: reply.statusCode, code: errorCode, aborted: true }
  const told = answerSentTo(raw.socket)
  return { status: told?.status ?? CLIENT_CLOSED_REQUEST, code: told?.code ?? null, aborted: true }
}

function observe(request: FastifyRequest, reply: FastifyReply, seen: Seen): void {
  if (request.isObserved) return
  request.isObserved = true
  const { method } = request
  const { status, code, aborted } = seen
  const { template = 'unmatched', logAs = 'info' } = request.is404 ? {} : request.routeOptions.config
  const tenant = tenantOf(request, template)
  seen.metrics.requests.observe({ method, route: template, status }, reply.elapsedTime / 1000)
  request.log[logAs](
    {
      method,
      path: loggedPath(request.url),
      status,
      durationMs: Math.round(reply.elapsedTime * 100) / 100,
      ...(tenant !== null && { tenantId: tenant.tenantId, placement: tenant.placement }),
      ...(code !== null && { code }),
      ...(aborted && { aborted }),
    },
    'request',
  )
}

/** The tenant that the request worked in, or that an operator's path names. Null if this process does not know it. */
function tenantOf(request: FastifyRequest, template: string): Pick<Route, 'tenantId' | 'placement'> | null {
  const state = stateOf(request)
  if (state === null) return null
  if (state.route !== null) return state.route
  if (state.principal?.kind !== 'operator' || !template.includes(OF_A_TENANT)) return null
  const { id } = request.params as { id?: string }
  return state.deps.directory.peekById(id?.toLowerCase() ?? '') ?? null
}

/** The words and ids of a path. Other segments are masked: they may be a key or a token in the wrong place. */
function loggedPath(url: string): string {
  return pathOf(url).slice(0, MAX_LOGGED_PATH).replace(/[^/]+/g, maskSegment)
}

function maskSegment(segment: string): string {
  return WORD.test(segment) || isUuid(segment) ? segment : '…'
}
