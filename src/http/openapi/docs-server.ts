import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import { type FastifyInstance, fastify, type RouteOptions } from 'fastify'
import type { OwnErrors } from '../../application/own-errors.ts'
import { ERROR_TABLE } from '../../errors.ts'
import { sharedComponents } from './components.ts'
import { complete } from './document.ts'
import type { Document } from './document-parts.ts'

const NOTHING_ELSE = "default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
/** The page loads its own scripts and pictures, and calls the API of its own origin. */
const DOCS_POLICY = `${NOTHING_ELSE}; connect-src 'self'; font-src 'self' data:; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'`

const DESCRIPTION = `Each tenant has its rows in a shared database or in a dedicated database. The API is the same in both cases:
the credential decides which tenant's rows a request reaches. Users of a tenant, accounts with several tenants, people of a
trusted issuer, and programs with a client key call the same paths. Operators have paths of their own.

Errors are \`application/problem+json\` with a \`code\`. Every path answers \`OPTIONS\` with \`Allow\`. Every path that answers
\`GET\` also answers \`HEAD\`.`

export interface Publication {
  readonly version: string
  readonly actForHeader: string
  /** The errors of the application. */
  readonly errors: OwnErrors
}

export interface Published extends Publication {
  /** Where the page is. */
  readonly prefix: string
  /** The declared routes, by method and path template. */
  readonly routes: ReadonlyMap<string, RouteOptions>
  /** The schemas that routes refer to by `$id`. */
  readonly schemas: Readonly<Record<string, unknown>>
}

/**
 * Makes a server that never listens. It has the document of the declared routes, and the page that shows it. The gateway makes it
 * at the first request for one of them: loading its parts takes a tenth of a start's processor time, and most processes never
 * show the page.
 */
export async function createDocsServer(published: Published): Promise<FastifyInstance> {
  const server = fastify({ exposeHeadRoutes: false })
  // It answers for none of the declared routes, so it compiles none of their schemas.
  server.setValidatorCompiler(() => () => true)
  server.setSerializerCompiler(() => (data) => JSON.stringify(data))
  for (const schema of Object.values(published.schemas)) server.addSchema(schema)
  await describeRoutes(server, published)
  await server.register(swaggerUi, {
    routePrefix: published.prefix,
    staticCSP: DOCS_POLICY,
    uiConfig: { docExpansion: 'list', deepLinking: true },
    theme: { title: 'Freehold' },
  })
  await server.ready()
  return server
}

async function describeRoutes(server: FastifyInstance, { routes, ...published }: Published): Promise<void> {
  const errors = { ...ERROR_TABLE, ...published.errors }
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Freehold',
        version: published.version,
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This gateway' }],
      components: sharedComponents(published.actForHeader, errors) as object,
    },
    transformObject: (made) => {
      const document = 'openapiObject' in made ? made.openapiObject : made.swaggerObject
      return complete(document as Document, { routes, errors }) as typeof document
    },
  })
  for (const { method, url, schema, config, ...rest } of routes.values()) {
    const links = 'links' in rest ? { links: rest.links } : {}
    server.route({ method, url, ...(schema && { schema }), ...(config && { config }), ...links, handler })
  }
}

function handler(): never {
  throw new Error('a described route was called')
}
