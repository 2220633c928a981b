import type {
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  RouteShorthandOptions,
} from 'fastify'
import type { Static, TSchema } from 'typebox'
import type { Tenant } from './contract.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** The tenant of the request. Throws if the request has no tenant's credential. */
    readonly tenant: Tenant
  }
}

type Part<Schema, Name extends string, Otherwise> = Schema extends {
  readonly [key in Name]: infer Found extends TSchema
}
  ? Static<Found>
  : Otherwise

/** A request whose body, query and params are typed by the route's schema. */
export type OwnRequest<Schema> = FastifyRequest<{
  Body: Part<Schema, 'body', unknown>
  Querystring: Part<Schema, 'querystring', Record<string, never>>
  Params: Part<Schema, 'params', Record<string, string>>
}>

/** Returns the body of the answer. Set status and headers with `reply`. */
export type OwnHandler<Schema> = (
  this: FastifyInstance,
  request: OwnRequest<Schema>,
  reply: FastifyReply,
) => unknown

/** The parts of a route in the OpenAPI document that its schemas do not contain. */
export interface OwnDocument {
  /** Error codes of the route. Default: every code that the application declared. */
  readonly codes?: readonly string[]
  /** Headers of the answer. */
  readonly headers?: readonly ('etag' | 'location' | 'accept-ranges' | 'content-range' | 'cache-control')[]
  /** Headers that the route reads. */
  readonly asks?: readonly ('if-match' | 'if-none-match' | 'range')[]
  /** For a body that is not JSON: its schema by media type. */
  readonly requestContent?: Readonly<Record<string, { readonly schema: object }>>
}

/** Options of a route. Fastify's own (hooks, `bodyLimit`, `config` …) are passed on. */
export interface OwnOptions<Schema extends FastifySchema = FastifySchema>
  extends Omit<RouteShorthandOptions, 'schema'> {
  /** Query and params are coerced to their types, bodies are not. Undeclared members are refused. */
  readonly schema?: Schema
  readonly document?: OwnDocument
}

export interface TenantOptions<Schema extends FastifySchema = FastifySchema> extends OwnOptions<Schema> {
  /** The permission that callers must hold, such as `bookings:read`. It need not be declared elsewhere. */
  readonly access: string
  /**
   * For a POST whose body is a stream: returns a text that differs between requests with the same `Idempotency-Key`. `answered` is
   * the handler's answer, or null for a repeated request, whose body is still unread.
   */
  readonly digest?: (request: FastifyRequest, answered: unknown) => Promise<string>
}

type TenantVerb = <const Schema extends FastifySchema>(
  path: string,
  options: TenantOptions<Schema>,
  handler: OwnHandler<Schema>,
) => void

interface OtherVerb {
  (path: string, handler: OwnHandler<unknown>): void
  <const Schema extends FastifySchema>(
    path: string,
    options: OwnOptions<Schema>,
    handler: OwnHandler<Schema>,
  ): void
}

type Verb = 'get' | 'head' | 'post' | 'put' | 'patch' | 'delete'

/** Registers routes that need Fastify's own parsers, plugins or hooks. These apply to the routes of this plugin only. */
export type ScopePlugin = (scope: Scope, server: FastifyInstance) => void | Promise<void>

/** Registers an application's routes. Paths are below the prefix. */
export interface Scope {
  /** For a tenant's callers: users, client keys, accounts, people of trusted issuers. */
  readonly tenant: Readonly<Record<Verb, TenantVerb>>
  /** For operators. Viewers may only read. */
  readonly operator: Readonly<Record<Verb, OtherVerb>>
  /** For everyone. No credential is needed. */
  readonly open: Readonly<Record<Verb, OtherVerb>>
  register(plugin: ScopePlugin): void
}
