import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { type Endpoint, serve } from '../endpoint.ts'
import { AnyDocument } from '../schemas/health.ts'
import type { Publication } from './docs-server.ts'

const DOCS_PREFIX = '/docs'
/** What `@fastify/swagger-ui` serves below the prefix. */
const DOCS_PATHS = [
  '',
  '/',
  '/static/index.html',
  '/static/swagger-initializer.js',
  '/json',
  '/yaml',
  '/static/*',
]
const OPEN = { access: { kind: 'open', probe: true } } as const
/** Headers of one connection, and those that our own server sets. */
const NOT_COPIED = new Set(['connection', 'date', 'keep-alive', 'transfer-encoding'])

const READ_DOCUMENT: Endpoint = {
  ...{ method: 'GET', url: '/openapi.json', access: OPEN.access },
  tag: { name: 'docs', description: 'This document.' },
  ...{ operationId: 'readDocument', summary: 'Read this document' },
  description: 'OpenAPI 3.1. `/docs` shows it as a page.',
  answers: { 200: AnyDocument },
}

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document of the routes, once the server is ready. */
    readOpenApi(): Promise<object>
  }
}

/** The declared routes, by method and path template. */
type Routes = ReadonlyMap<string, RouteOptions>

/** Records each route that is registered after this, apart from the pages of `/docs`. */
export function rememberRoutes(server: FastifyInstance): Routes {
  const routes = new Map<string, RouteOptions>()
  server.addHook('onRoute', (route) => {
    if (isDocs(route.url.slice(server.prefix.length))) return
    routes.set(`${String(route.method)} ${templateOf(route.url)}`, route)
  })
  return routes
}

/** Serves the document of the routes at `/openapi.json`, and as a page for people at `/docs`. */
export function publishRoutes(server: FastifyInstance, routes: Routes, publication: Publication): void {
  const schemasOf = rememberSchemas(server)
  const prefix = `${server.prefix}${DOCS_PREFIX}`
  const docs = once(async () => {
    // Loaded here, because most processes never show the document.
    const { createDocsServer } = await import('./docs-server.ts')
    return createDocsServer({ ...publication, prefix, routes, schemas: schemasOf() })
  })
  server.decorate('readOpenApi', async () => (await docs()).swagger())
  void server.register((root, _options, done) => {
    serveDocument(root, docs)
    servePage(root, docs)
    done()
  })
}

/** The schemas with an `$id` of the server and of all its scopes. */
function rememberSchemas(server: FastifyInstance): () => Record<string, unknown> {
  const scopes: FastifyInstance[] = []
  server.addHook('onRegister', (scope) => void scopes.push(scope))
  return () => Object.assign({}, ...[...scopes, server].map((scope) => scope.getSchemas()))
}

function serveDocument(root: FastifyInstance, docs: () => Promise<FastifyInstance>): void {
  let text: string | undefined
  serve(root, READ_DOCUMENT, async (_request, reply) => {
    text ??= JSON.stringify((await docs()).swagger())
    return reply.type('application/json').send(text)
  })
}

function servePage(root: FastifyInstance, docs: () => Promise<FastifyInstance>): void {
  const handler = async (request: FastifyRequest, reply: FastifyReply) => pass(await docs(), request, reply)
  for (const path of DOCS_PATHS) {
    const compress = path.startsWith('/static') ? { compress: false as const } : {}
    root.get(`${DOCS_PREFIX}${path}`, { config: OPEN, schema: { hide: true }, ...compress }, handler)
  }
}

/** Passes a request to a server in this process, and its answer back. */
async function pass(to: FastifyInstance, { url, headers }: FastifyRequest, reply: FastifyReply) {
  const answer = await to.inject({ method: 'GET', url, headers })
  if (answer.statusCode === 404) return reply.callNotFound()
  for (const [name, value] of Object.entries(answer.headers))
    if (value !== undefined && !NOT_COPIED.has(name)) reply.header(name, value)
  return reply.code(answer.statusCode).send(answer.payload === '' ? null : answer.rawPayload)
}

/** Makes a value at the first call. A failed attempt is not kept. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null
  return () => {
    made ??= make().catch((error: unknown) => {
      made = null
      throw error
    })
    return made
  }
}

function isDocs(url: string): boolean {
  return url === DOCS_PREFIX || url.startsWith(`${DOCS_PREFIX}/`)
}

function templateOf(url: string): string {
  return url.replace(/:(\w+)/g, '{$1}')
}
