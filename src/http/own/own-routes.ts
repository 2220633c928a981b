import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { type ErrorCode, fail } from '../../errors.ts'
import type { Access } from '../access.ts'
import { COMMAND_HEADERS, KEY_HEADER } from '../command.ts'
import type { HttpDeps } from '../deps.ts'
import type { Tag } from '../endpoint.ts'
import { PROBLEM_RESPONSES } from '../schemas/problem.ts'
import { compileValidator } from '../transport/validation.ts'
import { answerOnce, type Digest, type Work } from './answer-once.ts'
import { closed } from './closed-schema.ts'
import { type Declared, type OwnRoute, scopeInto } from './route-book.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True for a route of the application. */
    isOwn?: boolean
  }
}

/** Registers the application's routes on the server of the API. */
export function ownRoutes(api: FastifyInstance, deps: HttpDeps): void {
  api.addHook('onRoute', ({ config }) => {
    const access = config?.access
    if (access?.kind === 'tenant' && access.permission !== null)
      deps.own.routes.addPermission(access.permission)
  })
  for (const declared of deps.own.routes.declared) register(api, declared, deps)
}

function register(server: FastifyInstance, declared: Declared, deps: HttpDeps): void {
  if (!('plugin' in declared)) {
    server.route(fastifyRoute(declared, deps))
    return
  }
  const { plugin } = declared
  void server.register((inner, _options, done) => {
    const scope = scopeInto((nested) => {
      if (!('plugin' in nested)) deps.own.routes.add(nested)
      register(inner, nested, deps)
    })
    const run = async () => plugin(scope, inner)
    run().then(() => done(), done)
  })
}

/** An application's route in the form that Fastify registers. */
export function fastifyRoute(route: OwnRoute, deps: HttpDeps): RouteOptions {
  const { method, path, options } = route
  const { access: _access, digest: _digest, document, schema = {}, config, ...passed } = options
  return {
    ...(passed as object),
    method,
    url: path,
    config: { ...config, access: accessOf(route), isOwn: true, document: documentOf(route, deps) },
    schema: {
      ...{ tags: [tagOf(route).name], summary: `${method} ${path}`, description: describe(route) },
      ...schema,
      ...closedParts(route),
      ...{ operationId: deps.own.routes.operationIdOf(route) },
      response: { ...(schema.response as object), ...PROBLEM_RESPONSES },
    },
    ...(isStream(route) && { validatorCompiler: validateAllButBody }),
    handler: handlerOf(route, deps),
  }
}

function tagOf({ path }: OwnRoute): Tag {
  const name = path.split('/')[1] ?? ''
  return { name, description: `Endpoints below \`/${name}\`.` }
}

function describe({ kind, options }: OwnRoute): string {
  if (kind === 'tenant') return `Needs the permission \`${options.access}\`.`
  return kind === 'operator' ? 'For operators.' : 'Needs no credential.'
}

/** A route on a host: the given Fastify options with our access and our handler. */
export function hostRoute(route: OwnRoute, deps: HttpDeps): RouteOptions {
  const { method, path, options } = route
  const { access: _access, digest: _digest, document: _document, config, ...passed } = options
  return {
    ...(passed as object),
    ...{ method, url: path, config: { ...config, access: accessOf(route), isOwn: true } },
    handler: handlerOf(route, deps),
  }
}

/** True if the handler reads the body as a stream, so that it cannot be validated before. */
function isStream({ options: { digest, document } }: OwnRoute): boolean {
  return digest !== undefined || document?.requestContent !== undefined
}

/** Checked here too, because on a host no schema of ours has validated the header. */
const KEY_FORM = /^[\x20-\x7e]{1,255}$/

const validateAllButBody: typeof compileValidator = (part) =>
  part.httpPart === 'body' ? () => true : compileValidator(part)

function accessOf({ kind, method, options }: OwnRoute): Access {
  if (kind === 'tenant') return { kind, permission: options.access ?? null }
  if (kind === 'operator') return { kind, write: method !== 'GET' && method !== 'HEAD' }
  return { kind }
}

const NOTHING = { type: 'object', properties: {}, additionalProperties: false }

/** A route refuses everything that it does not declare, also if it is open. */
function closedParts({ kind, method, options: { schema = {} } }: OwnRoute) {
  const { querystring = NOTHING, headers } = schema as { querystring?: unknown; headers?: object }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const body = schema.body ?? { ...NOTHING, type: ['object', 'null'] }
  return {
    querystring: closed(querystring),
    ...(hasBody && { body: closed(body) }),
    ...(kind === 'tenant' && method === 'POST' && { headers: withKey(headers) }),
  }
}

function withKey(headers: object = {}): object {
  const { properties = {} } = headers as { properties?: object }
  return { type: 'object', ...headers, properties: { ...properties, ...COMMAND_HEADERS.properties } }
}

function documentOf(route: OwnRoute, deps: HttpDeps) {
  const { kind, method, options } = route
  const { document = {} } = options
  const isChange = method !== 'GET' && method !== 'HEAD'
  const codes = [
    ...(document.codes ?? Object.keys(deps.application.errors)),
    ...(kind === 'tenant' ? ['TENANT_SCHEMA_OUT_OF_DATE'] : []),
    ...(kind === 'tenant' && isChange ? ['CONFLICT', 'REFERENCE_NOT_FOUND'] : []),
  ]
  return { tag: tagOf(route), ...document, codes: codes as ErrorCode[] }
}

function handlerOf(route: OwnRoute, deps: HttpDeps): RouteOptions['handler'] {
  const { kind, method, options } = route
  const digest = options.digest as Digest | undefined
  const isCommand = kind === 'tenant' && method === 'POST'
  return async function answer(this: FastifyInstance, request: FastifyRequest, reply: FastifyReply) {
    const work = route.handler.bind(this as never) as Work
    const key = isCommand ? request.headers[KEY_HEADER] : undefined
    try {
      if (typeof key !== 'string') return await work(request, reply)
      if (!KEY_FORM.test(key))
        throw fail('VALIDATION_FAILED', {
          detail: 'The Idempotency-Key must have 1 to 255 printable ASCII characters.',
        })
      return await answerOnce({ key, digest, work, deps }, request, reply)
    } catch (error) {
      throw deps.own.errors.publicErrorOf(error, method)
    }
  }
}
