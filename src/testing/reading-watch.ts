import type { FastifyInstance, FastifyRequest } from 'fastify'

/**
 * Records which headers handlers read. A header can decide what a handler does without being in any schema, so the prover
 * has to learn the header's name before it can attack the handler through it.
 */
export class ReadingWatch {
  /** By method and path, as routes are declared. */
  readonly #headers = new Map<string, Set<string>>()
  isOn = false

  /** Watches the routes that `server` gets from now on. */
  constructor(server: FastifyInstance) {
    server.addHook('preHandler', (request, _reply, done) => {
      if (this.isOn) this.#watch(request)
      done()
    })
  }

  /** In lower case, sorted. */
  headersRead(method: string, url: string): string[] {
    return [...(this.#headers.get(`${method} ${url}`) ?? [])].sort()
  }

  #watch(request: FastifyRequest): void {
    const route = `${request.routeOptions.method} ${request.routeOptions.url}`
    const seen = this.#headers.get(route) ?? new Set<string>()
    this.#headers.set(route, seen)
    const watched = new Proxy(request.headers, {
      get: (headers, name) => {
        if (typeof name === 'string') seen.add(name.toLowerCase())
        return Reflect.get(headers, name)
      },
      has: (headers, name) => {
        if (typeof name === 'string') seen.add(name.toLowerCase())
        return Reflect.has(headers, name)
      },
    })
    Object.defineProperty(request, 'headers', { configurable: true, get: () => watched })
  }
}
