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
 * A scope whose routes stand on the host itself: its parsers and validators hold for them, and its error handler answers what
 * is not Freehold's to say.
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
      (_request, reply, payload, done) => {
        // A host that closes waits for connections that are kept alive.
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
      // Thrown on, it goes to the handler of the host, or the one that the route was given.
      if (!isOurs(error)) {
        if (route.errorHandler === undefined) throw error
        return route.errorHandler.call(request.server, error, request, reply)
      }
      const problem = toPublicError(error, application.errors)
      sendProblem(problem, request, reply, log.child({ requestId: request.id }))
    },
  }
}

function isOurs(error: unknown): boolean {
  return [...causesOf(error)].some((cause) => cause instanceof PublicError || cause instanceof OwnProblem)
}
