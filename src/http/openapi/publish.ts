import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance, RouteOptions } from 'fastify'
import type { OwnErrors } from '../../application/own-errors.ts'
import { ERROR_TABLE } from '../../errors.ts'
import { sharedComponents } from './components.ts'
import { API } from './described.ts'
import { complete, type Document } from './document.ts'
import { OPERATIONS } from './operations.ts'

const DOCS_PREFIX = '/docs'
const OPEN = { access: { kind: 'open', probe: true } } as const
const NOTHING_STRANGE = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
/** The page loads its own scripts and pictures, and calls the API it stands beside. Nothing else changes for it. */
const DOCS_POLICY = `${NOTHING_STRANGE}; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'`

const DESCRIPTION = `Tenants share one database or have their own; the API is the same for all of them, and the credential decides
whose rows it reaches. A tenant's user, an account with several tenants, a person of a trusted issuer and a program with a
client key call the same paths; operators have paths of their own. Errors are \`application/problem+json\` with a \`code\`. Every path also answers \`OPTIONS\`, with
\`Allow\`, and every path that answers \`GET\` answers \`HEAD\`.`

interface Publication {
  readonly version: string
  readonly actForHeader: string
  /** Those of the application. */
  readonly errors: OwnErrors
}

/** Routes as they are declared, by method and path template. */
type Routes = ReadonlyMap<string, RouteOptions>

/**
 * Adds what the table of operations says to every route that is registered from now on, and remembers it. Must stand
 * before the corridor, because the page's plugin registers routes that cannot declare their own access.
 */
export function describeRoutes(server: FastifyInstance): Routes {
  const routes = new Map<string, RouteOptions>()
  server.addHook('onRoute', (route) => {
    if (isDocs(route.url.slice(server.prefix.length))) {
      route.config = { ...route.config, ...OPEN }
      return
    }
    describe(route, server.prefix)
    routes.set(`${String(route.method)} ${templateOf(route.url)}`, route)
  })
  return routes
}

/** Says what the routes registered after this are: to callers at `/openapi.json` and to people at `/docs`. */
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

/** Made when it is first asked for: most processes never are. */
function serveDocument(root: FastifyInstance): void {
  let text: string | undefined
  root.get('/openapi.json', { config: OPEN }, async (_request, reply) => {
    text ??= JSON.stringify(root.swagger())
    return reply.type('application/json').send(text)
  })
}

/** What the table says of a route whose own file says nothing of its answers. */
function describe(route: RouteOptions, prefix: string): void {
  const method = route.method === 'HEAD' ? 'GET' : String(route.method)
  const path = route.url.slice(prefix.length)
  // Inside of a host everything stands below one prefix.
  const operation = OPERATIONS[`${method} ${path}`] ?? OPERATIONS[`${method} ${API}${path}`]
  if (operation === undefined) return
  const { answers, document, ...about } = operation
  route.schema = { ...about, response: answers, ...route.schema }
  if (document !== undefined) route.config = { ...route.config, document }
}

function isDocs(url: string): boolean {
  return url === DOCS_PREFIX || url.startsWith(`${DOCS_PREFIX}/`)
}

function templateOf(url: string): string {
  return url.replace(/:(\w+)/g, '{$1}')
}
