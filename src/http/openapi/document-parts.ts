import type { ErrorEntry } from '../../errors.ts'

/** The parts of a schema that name other schemas. */
export interface JsonSchema {
  readonly $ref?: string
  readonly title?: string
  readonly default?: unknown
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
}

/** The document as `@fastify/swagger` makes it from the routes' schemas. */
export interface Document {
  paths?: Record<string, Record<string, Operation>>
  components?: Record<string, Record<string, unknown>>
  tags?: { readonly name: string; readonly description: string }[]
  security?: unknown
}

export interface Operation {
  tags?: string[]
  parameters?: Parameter[]
  requestBody?: { required?: boolean; content: Record<string, MediaType> }
  responses: Record<string, Answer>
  security?: unknown
}

export interface Parameter {
  readonly $ref?: string
  readonly name?: string
  readonly required?: boolean
  readonly schema?: JsonSchema
}

export interface Answer {
  readonly $ref?: string
  description: string
  headers?: Record<string, object>
  content?: Record<string, MediaType>
}

interface MediaType {
  schema: JsonSchema
}

/** Every error that endpoints answer, by its code. Includes the application's own errors. */
export type Errors = Readonly<Record<string, ErrorEntry>>
