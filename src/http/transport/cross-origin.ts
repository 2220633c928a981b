import cors from '@fastify/cors'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { fail } from '../../errors.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE']
const PREFLIGHT_SECONDS = 600

/** What scripts of another origin may read besides the body. */
const EXPOSED = [
  ...['ETag', 'Location', 'Link', 'Retry-After', 'X-Request-Id', 'Idempotency-Replayed'],
  'Freehold-Effective',
  ...['RateLimit-Limit', 'RateLimit-Remaining', 'RateLimit-Reset', 'Content-Disposition', 'Content-Range'],
]
const ALLOWED = [
  ...['Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match', 'If-None-Match', 'Range'],
  ...['X-Client-Key', 'X-Request-Id', 'X-Tenant-Code'],
]

/** A path has no credential to ask for when what is asked is only which methods it has. */
const OPEN = { access: { kind: 'open', probe: true } } as const

interface Origins {
  readonly corsOrigins?: readonly string[]
  readonly actForHeader: string
}

/**
 * Lets scripts of the listed origins call the API. Never with a browser's own credentials (cookies, certificates):
 * what tells who calls is a header that a script must have been given. Must stand before the corridor, because the
 * plugin registers a route that cannot declare its own access.
 */
export function answerOrigins(server: FastifyInstance, { corsOrigins = [], actForHeader }: Origins): void {
  if (corsOrigins.length === 0) return
  server.addHook('onRoute', (route) => {
    if (route.method !== 'OPTIONS' || route.url !== '*') return
    route.config = { ...route.config, ...OPEN }
    // The plugin would say yes to every path; those that exist answer for themselves.
    route.handler = () => Promise.reject(fail('NOT_FOUND'))
  })
  void server.register(cors, {
    origin: [...corsOrigins],
    methods: METHODS,
    allowedHeaders: [...ALLOWED, actForHeader],
    exposedHeaders: EXPOSED,
    maxAge: PREFLIGHT_SECONDS,
    credentials: false,
    // Preflights go on to the path's own OPTIONS, which says what it allows, and says 404 where there is no path.
    preflightContinue: true,
    strictPreflight: false,
  })
}

/** Gives every path an OPTIONS that tells its methods. To be called before the routes; they are told when all are known. */
export function answerOptions(server: FastifyInstance): () => void {
  const methodsOf = new Map<string, Set<string>>()
  server.addHook('onRoute', ({ method, url, prefix }: RouteOptions & { prefix: string }) => {
    const whole = url === '' ? prefix : url
    // Below a host's prefix the same prefix is put before it again.
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
