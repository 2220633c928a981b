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
    /** The tenant that the request works in, where a tenant's credential was shown; throws elsewhere. */
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

/** Answers by what it resolves to; status and headers by `reply`. */
export type OwnHandler<Schema> = (
  this: FastifyInstance,
  request: OwnRequest<Schema>,
  reply: FastifyReply,
) => unknown

/** What OpenAPI says of a route beyond its schemas. */
export interface OwnDocument {
  /** Codes that the route answers; without this all that the application has declared. */
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
  /** Query and params are coerced to their types, bodies are not. What is not declared is refused. */
  readonly schema?: Schema
  readonly document?: OwnDocument
}

export interface TenantOptions<Schema extends FastifySchema = FastifySchema> extends OwnOptions<Schema> {
  /** The permission that callers must hold, such as `bookings:read`. It counts as declared. */
  readonly access: string
  /**
   * For a POST whose body is a stream: a text that tells this request from others under the same `Idempotency-Key`. `answered` is
   * what the handler answered, or null for a repetition, whose body has yet to be read.
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

/** Registers more routes where Fastify's own means are needed: parsers, plugins, hooks. They hold for these routes only. */
export type ScopePlugin = (scope: Scope, server: FastifyInstance) => void | Promise<void>

/** What an application registers its routes on. Paths are below the prefix. */
export interface Scope {
  /** For a tenant's callers: users, client keys, accounts, people of trusted issuers. */
  readonly tenant: Readonly<Record<Verb, TenantVerb>>
  /** For operators. Viewers may only read. */
  readonly operator: Readonly<Record<Verb, OtherVerb>>
  /** For anybody, without a credential. */
  readonly open: Readonly<Record<Verb, OtherVerb>>
  register(plugin: ScopePlugin): void
}
