import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, RouteOptions } from 'fastify'
import type { OwnErrors } from '../../application/own-errors.ts'
import { ERROR_TABLE } from '../../errors.ts'
import { type Endpoint, serve } from '../endpoint.ts'
import { AnyDocument } from '../schemas/health.ts'
import { sharedComponents } from './components.ts'
import { complete } from './document.ts'
import type { Document } from './document-parts.ts'

const DOCS_PREFIX = '/docs'
const OPEN = { access: { kind: 'open', probe: true } } as const
const NOTHING_ELSE = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
/** The page loads its own scripts and pictures, and calls the API of its own origin. */
const DOCS_POLICY = `${NOTHING_ELSE}; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'`

const DESCRIPTION = `Each tenant has its rows in a shared database or in a dedicated database. The API is the same in both cases:
the credential decides which tenant's rows a request reaches. Users of a tenant, accounts with several tenants, people of a
trusted issuer, and programs with a client key call the same paths. Operators have paths of their own.

Errors are \`application/problem+json\` with a \`code\`. Every path answers \`OPTIONS\` with \`Allow\`. Every path that answers
\`GET\` also answers \`HEAD\`.`

const READ_DOCUMENT: Endpoint = {
  ...{ method: 'GET', url: '/openapi.json', access: OPEN.access },
  tag: { name: 'docs', description: 'This document.' },
  ...{ operationId: 'readDocument', summary: 'Read this document' },
  description: 'OpenAPI 3.1. `/docs` shows it as a page.',
  answers: { 200: AnyDocument },
}

interface Publication {
  readonly version: string
  readonly actForHeader: string
  /** The errors of the application. */
  readonly errors: OwnErrors
}

/** Routes as they are declared, by method and path template. */
type Routes = ReadonlyMap<string, RouteOptions>

/**
 * Remembers each route that is registered after this. Must be called before the pipeline guards the server: the page's
 * plugin registers routes that cannot declare their own access.
 */
export function rememberRoutes(server: FastifyInstance): Routes {
  const routes = new Map<string, RouteOptions>()
  server.addHook('onRoute', (route) => {
    if (isDocs(route.url.slice(server.prefix.length))) {
      route.config = { ...route.config, ...OPEN }
      return
    }
    routes.set(`${String(route.method)} ${templateOf(route.url)}`, route)
  })
  return routes
}

/** Serves the document of the routes: to programs at `/openapi.json` and to people at `/docs`. */
export function publishRoutes(server: FastifyInstance, routes: Routes, publication: Publication): void {
  const errors = { ...ERROR_TABLE, ...publication.errors }
  void server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Freehold',
        version: publication.version,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This gateway' }],
      components: sharedComponents(publication.actForHeader, errors) as object,
    },
    transformObject: (made) => {
      const document = 'openapiObject' in made ? made.openapiObject : made.swaggerObject
      return complete(document as Document, { routes, errors }) as typeof document
    },
  })
  void server.register(swaggerUi, {
    routePrefix: DOCS_PREFIX,
    staticCSP: DOCS_POLICY,
    uiConfig: { docExpansion: 'list', deepLinking: true },
    theme: { title: 'Freehold' },
  })
  void server.register((root, _options, done) => {
    serveDocument(root)
    done()
  })
}

/** The document is made when it is first asked for: most processes are never asked. */
function serveDocument(root: FastifyInstance): void {
  let text: string | undefined
  serve(root, READ_DOCUMENT, async (_request, reply) => {
    text ??= JSON.stringify(root.swagger())
    return reply.type('application/json').send(text)
  })
}

function isDocs(url: string): boolean {
  return url === DOCS_PREFIX || url.startsWith(`${DOCS_PREFIX}/`)
}

function templateOf(url: string): string {
  return url.replace(/:(\w+)/g, '{$1}')
}
