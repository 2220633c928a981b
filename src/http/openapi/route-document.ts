import type { ErrorCode } from '../../errors.ts'

/** Headers that tell of a result, by the names under which the document describes them. */
export type AnswerHeader =
  | 'etag'
  | 'location'
  | 'link'
  | 'accept-ranges'
  | 'content-range'
  | 'freehold-degraded'
  | 'freehold-effective'
  | 'cache-control'

/** Headers that a request may carry besides those of its access. */
export type RequestHeader = 'if-match' | 'if-none-match' | 'range' | 'tenant-code'

/** What the document says of a route beyond its schemas, its access and what follows from these. */
export interface RouteDocument {
  /** Codes that this route answers and that `codesOf` cannot know of. */
  readonly codes?: readonly ErrorCode[]
  readonly headers?: readonly AnswerHeader[]
  readonly asks?: readonly RequestHeader[]
  /** For bodies that are not JSON: the content of the request body, by media type. */
  readonly requestContent?: Readonly<Record<string, { readonly schema: object }>>
}

declare module 'fastify' {
  interface FastifyContextConfig {
    document?: RouteDocument
  }
}
