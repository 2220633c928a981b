import type { FastifyInstance, RouteHandlerMethod } from 'fastify'
import type { TSchema } from 'typebox'
import type { ErrorCode } from '../errors.ts'
import type { Access } from './access.ts'
import type { AnswerHeader, RequestHeader } from './schemas/headers.ts'
import { PROBLEM_RESPONSES } from './schemas/problem.ts'

/** A group of endpoints in the document and in generated clients. */
export interface Tag {
  readonly name: string
  readonly description: string
}

/** What the OpenAPI document says of an endpoint besides its schemas and its access. */
export interface EndpointDocument {
  readonly tag?: Tag
  /** The endpoint's error codes, besides those that follow from its access and its schemas. */
  readonly codes?: readonly ErrorCode[]
  readonly headers?: readonly AnswerHeader[]
  readonly asks?: readonly RequestHeader[]
  /** For a body that is not JSON: its schema by media type. */
  readonly requestContent?: Readonly<Record<string, { readonly schema: object }>>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    document?: EndpointDocument
    /** True for Freehold's own endpoints: neither a resource nor a route of the application. */
    isCore?: boolean
  }
}

/** One of Freehold's own endpoints, as the OpenAPI document describes it. The serialiser is compiled from `answers`. */
export interface Endpoint {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** The path after the server's prefix. */
  readonly url: string
  readonly access: Access
  readonly tag: Tag
  readonly operationId: string
  readonly summary: string
  readonly description: string
  readonly params?: TSchema
  readonly query?: TSchema
  readonly body?: TSchema
  /** The answers of a request that succeeds, by status. A field that is not listed is not sent. */
  readonly answers: Readonly<Record<number, TSchema | object>>
  readonly answerHeaders?: readonly AnswerHeader[]
  readonly requestHeaders?: readonly RequestHeader[]
  /** The endpoint's error codes, besides those that follow from its access and its schemas. */
  readonly errors?: readonly ErrorCode[]
}

/** Registers an endpoint. */
export function serve(api: FastifyInstance, endpoint: Endpoint, handler: RouteHandlerMethod): void {
  const { method, url, access, tag, answerHeaders: headers, requestHeaders: asks, errors: codes } = endpoint
  const { operationId, summary, description, params, query, body, answers } = endpoint
  const document = { tag, ...(codes && { codes }), ...(headers && { headers }), ...(asks && { asks }) }
  api.route({
    ...{ method, url, config: { access, document, isCore: true }, handler },
    schema: {
      ...{ tags: [tag.name], operationId, summary, description },
      ...(params && { params }),
      ...(query && { querystring: query }),
      ...(body && { body }),
      response: { ...answers, ...PROBLEM_RESPONSES },
    },
  })
}
