import type { FastifyInstance, FastifyRequest } from 'fastify'

/**
 * Records which headers handlers read. A handler may use a header that no schema declares. The proof must know the header's name
 * to attack the handler through it.
 */
export class ReadingWatch {
  /** By method and path, as routes are declared. */
  readonly #headers = new Map<string, Set<string>>()
  isOn = false

  /** Watches the routes that are added to `server` from now on. */
  constructor(server: FastifyInstance) {
    server.addHook('preHandler', (request, _reply, done) => {
      if (this.isOn) this.#watch(request)
      done()
    })
  }

  /** The names of the headers that a route's handler has read, in lower case and sorted. */
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
