import type { FastifyInstance, RouteOptions } from 'fastify'
import { OwnProblem } from '../../application/own-errors.ts'
import type { Scope } from '../../application.ts'
import { PublicError } from '../../errors.ts'
import { causesOf } from '../../lib/causes.ts'
import { noteRefusal } from '../caller.ts'
import type { HttpDeps } from '../deps.ts'
import { sendProblem, toPublicError } from '../error-handler.ts'
import { isLeaving } from '../gates.ts'
import { hostRoute } from '../own/own-routes.ts'
import { type Declared, scopeInto } from '../own/route-book.ts'
import { guardHostRoute } from '../pipeline.ts'

/**
 * A scope whose routes are registered on the host itself. The host's parsers and validators apply to them, and its error handler
 * answers errors that are not Freehold's.
 */
export function hostScope(host: FastifyInstance, deps: HttpDeps): Scope {
  return scopeInto((declared) => register(host, declared, deps))
}

function register(host: FastifyInstance, declared: Declared, deps: HttpDeps): void {
  if ('plugin' in declared) {
    const { plugin } = declared
    void host.register((inner, _options, done) => {
      const run = async () => plugin(hostScope(inner, deps), inner)
      run().then(() => done(), done)
    })
    return
  }
  deps.own.routes.addHostRoute(declared)
  const route = hostRoute(declared, deps)
  guardHostRoute(route, deps)
  host.route(withProblems(route, deps))
}

function withProblems(route: RouteOptions, { application, log, lifecycle }: HttpDeps): RouteOptions {
  return {
    ...route,
    onSend: [
      // biome-ignore lint/complexity/useMaxParams: Fastify calls the hook with these four.
      (_request, reply, payload, done) => {
        // A host that closes waits for kept-alive connections.
        if (isLeaving(lifecycle)) reply.header('connection', 'close')
        done(null, payload)
      },
      ...[route.onSend ?? []].flat(),
    ],
    onResponse: [
      (request, { statusCode }, done) => {
        if (statusCode === 403 && request.errorCode !== null) noteRefusal(request, request.errorCode)
        done()
      },
      ...[route.onResponse ?? []].flat(),
    ],
    errorHandler: (error, request, reply) => {
      // An error that is not ours goes to the route's own handler or, thrown again, to the host's.
      if (!isOurs(error)) {
        if (route.errorHandler === undefined) throw error
        return route.errorHandler.call(request.server, error, request, reply)
      }
      const problem = toPublicError(error, application.errors)
      sendProblem(problem, reply, log.child({ requestId: request.id }))
    },
  }
}

function isOurs(error: unknown): boolean {
  return [...causesOf(error)].some((cause) => cause instanceof PublicError || cause instanceof OwnProblem)
}
