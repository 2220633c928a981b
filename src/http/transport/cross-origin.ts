import cors from '@fastify/cors'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { fail } from '../../errors.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
const PREFLIGHT_SECONDS = 600

/** Headers that scripts of another origin may read. */
const EXPOSED = [
  ...['ETag', 'Location', 'Link', 'Retry-After', 'X-Request-Id', 'Idempotency-Replayed'],
  'Freehold-Effective',
  ...['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'Content-Disposition', 'Content-Range'],
]
const ALLOWED = [
  ...['Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match', 'If-None-Match', 'Range'],
  ...['X-Client-Key', 'X-Request-Id', 'X-Tenant-Code'],
]

/** OPTIONS needs no credential: it tells only the methods of a path. */
const OPEN = { access: { kind: 'open', probe: true } } as const

interface Origins {
  readonly corsOrigins?: readonly string[]
  readonly actForHeader: string
}

/**
 * Lets scripts of the listed origins call the API. A browser's own credentials (cookies, certificates) are never used: a script
 * must set the credential's header itself. Call before the pipeline guards the server, because the plugin registers a route that
 * cannot declare its own access.
 */
export function answerOrigins(server: FastifyInstance, { corsOrigins = [], actForHeader }: Origins): void {
  if (corsOrigins.length === 0) return
  server.addHook('onRoute', (route) => {
    if (route.method !== 'OPTIONS' || route.url !== '*') return
    route.config = { ...route.config, ...OPEN }
    // The plugin would answer for every path, also for unknown ones. Known paths have an OPTIONS of their own.
    route.handler = () => Promise.reject(fail('NOT_FOUND'))
  })
  void server.register(cors, {
    origin: [...corsOrigins],
    methods: METHODS,
    allowedHeaders: [...ALLOWED, actForHeader],
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
    credentials: false,
    // Preflights go on to the path's own OPTIONS, so that an unknown path answers 404.
    preflightContinue: true,
    strictPreflight: false,
  })
}

/**
 * Gives every path an OPTIONS that tells its methods. Call it before the routes are registered. Call its result when all routes
 * are registered.
 */
export function answerOptions(server: FastifyInstance): () => void {
  const methodsOf = new Map<string, Set<string>>()
  server.addHook('onRoute', ({ method, url, prefix }: RouteOptions & { prefix: string }) => {
    const whole = url === '' ? prefix : url
    // `root.route` adds the host's prefix again.
    const path = whole.slice(server.prefix.length)
    const methods = methodsOf.get(path) ?? new Set()
    for (const each of [method].flat()) methods.add(each)
    methodsOf.set(path, methods)
  })
  return () => {
    void server.register((root, _options, done) => {
      for (const [url, methods] of [...methodsOf]) {
        if (methods.has('OPTIONS')) continue
        const allow = [...methods, 'OPTIONS'].sort().join(', ')
        root.route({
          method: 'OPTIONS',
          url,
          config: OPEN,
          schema: { hide: true },
          handler: async (_request, reply) => reply.code(204).header('allow', allow).send(),
        })
      }
      done()
    })
  }
}
