import type { RouteOptions } from 'fastify'
import type { ErrorCode, ErrorEntry } from '../../errors.ts'
import { takesCursor } from '../paging.ts'
import {
  type HeaderName,
  headerRefs,
  type ParameterName,
  parameterRef,
  RATE_HEADERS,
  securityOf,
} from './components.ts'
import { exampleOf, type JsonSchema } from './examples.ts'
import { codesOf, isCounted, mayBeLeftOut, takesBody } from './route-codes.ts'

/** The document as `@fastify/swagger` made it from the routes' schemas. */
export interface Document {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components?: { schemas?: Record<string, unknown>; responses?: Record<string, unknown> }
}

interface Operation {
  operationId?: string
  parameters?: object[]
  requestBody?: { required?: boolean; content: Record<string, MediaType> }
  responses: Record<string, Response>
  security?: unknown
}

interface Response {
  description: string
  headers?: Record<string, object>
  content?: Record<string, MediaType>
}

interface MediaType {
  schema: JsonSchema
  example?: unknown
}

const STATUS_TEXTS: Readonly<Record<string, string>> = {
  200: 'The answer.',
  201: 'Made.',
  202: 'Taken on; it is done in the background.',
  204: 'Done; there is nothing to show.',
  206: 'The part that was asked for.',
  304: 'Not changed since the version that was named.',
  503: 'Not ready.',
}

/** Every error that is answered, the application's among them, by its code. */
export type Errors = Readonly<Record<string, ErrorEntry>>

interface Told {
  readonly routes: ReadonlyMap<string, RouteOptions>
  readonly errors: Errors
}

/** Adds what the routes' schemas do not say: credentials, headers, errors, examples, and names for what is shared. */
export function complete<D extends Document>(document: D, { routes, errors }: Told): D {
  const named = new NamedSchemas(document)
  const responses: Record<string, unknown> = {}
  for (const [path, operations] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(operations)) {
      const route = routes.get(`${method.toUpperCase()} ${path}`)
      if (route === undefined) continue
      completeRequest(operation, route)
      completeAnswers(operation, route)
      named.takeFrom(operation)
      Object.assign(operation.responses, problemsOf(route, { shared: responses, errors }))
    }
  }
  Object.assign(document.components ?? {}, { responses })
  return document
}

function completeRequest(operation: Operation, route: RouteOptions): void {
  const { access, document = {} } = route.config ?? {}
  operation.security = securityOf(access)
  if (!takesBody(route)) delete operation.requestBody
  if (operation.requestBody && mayBeLeftOut(route.schema?.body)) operation.requestBody.required = false
  if (document.requestContent !== undefined) {
    operation.requestBody = {
      required: true,
      content: structuredClone(document.requestContent),
    } as NonNullable<Operation['requestBody']>
  }
  const actsFor: ParameterName[] = access?.kind === 'tenant' || access?.kind === 'either' ? ['act-for'] : []
  const asked = [...(document.asks ?? []), ...actsFor, 'request-id' as const]
  operation.parameters = [...(operation.parameters ?? []), ...asked.map(parameterRef)]
}

function completeAnswers({ responses }: Operation, route: RouteOptions): void {
  const { access, document = {} } = route.config ?? {}
  for (const status of Object.keys(responses)) if (/^[45]XX$/.test(status)) delete responses[status]
  const counted: readonly HeaderName[] = isCounted(access) ? RATE_HEADERS : []
  const paged = takesCursor(route) ? (['link'] as const) : []
  const replayed = takesKey(route) ? (['idempotency-replayed'] as const) : []
  for (const [status, response] of Object.entries(responses)) {
    const told = headersAt(status, document.headers ?? [])
    response.headers = headerRefs(['x-request-id', ...told, ...paged, ...replayed, ...counted])
    if (response.description === 'Default Response')
      response.description = STATUS_TEXTS[status] ?? 'The answer.'
  }
}

/** A list has a next page, a range a place, only when it is answered whole; an unchanged row still has its tag. */
function headersAt(status: string, headers: readonly HeaderName[]): readonly HeaderName[] {
  if (status === '304') return headers.filter((name) => name === 'etag')
  if (status !== '206') return headers.filter((name) => name !== 'content-range')
  return headers
}

function takesKey({ schema }: RouteOptions): boolean {
  const { properties = {} } = (schema?.headers ?? {}) as { properties?: object }
  return 'idempotency-key' in properties
}

/** One answer a status. Routes with the same codes share it. */
function problemsOf(
  route: RouteOptions,
  { shared, errors }: { shared: Record<string, unknown>; errors: Errors },
): Record<string, { $ref: string }> {
  const known = [...codesOf(route)].filter((code) => code in errors).sort()
  const byStatus = Map.groupBy(known, (code) => entryOf(errors, code).status)
  const counted: readonly HeaderName[] = isCounted(route.config?.access) ? RATE_HEADERS : []
  return Object.fromEntries(
    [...byStatus].map(([status, codes]) => {
      const name = [status, ...(counted.length > 0 ? [] : ['open']), ...codes].join('.')
      shared[name] ??= problemAnswer(status, { codes, counted, errors })
      return [status, { $ref: `#/components/responses/${name}` }]
    }),
  )
}

interface Answered {
  readonly codes: readonly ErrorCode[]
  readonly counted: readonly HeaderName[]
  readonly errors: Errors
}

function problemAnswer(status: number, { codes, counted, errors }: Answered) {
  const told: readonly HeaderName[] = [
    ...(codes.some((code) => tellsWait(code, errors)) ? (['retry-after'] as const) : []),
    ...(status === 401 ? (['www-authenticate'] as const) : []),
  ]
  return {
    description: codes.map((code) => `\`${code}\`: ${entryOf(errors, code).title}.`).join(' '),
    headers: headerRefs(['x-request-id', ...told, ...counted]),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            { $ref: '#/components/schemas/Problem' },
            { properties: { status: { const: status }, code: { enum: codes } } },
          ],
        },
        examples: Object.fromEntries(
          codes.map((code) => [code, { $ref: `#/components/examples/${code}` }] as const),
        ),
      },
    },
  }
}

/** How long an account is locked is not in the table: it depends. */
function tellsWait(code: ErrorCode, errors: Errors): boolean {
  return code === 'ACCOUNT_LOCKED' || entryOf(errors, code).retryAfterSeconds !== undefined
}

function entryOf(errors: Errors, code: string): ErrorEntry {
  return errors[code] as ErrorEntry
}

/** Moves every schema that has a title to the components, so that readers and generated clients know it by name. */
class NamedSchemas {
  readonly #schemas: Record<string, unknown>
  readonly #texts = new Map<string, string>()

  constructor({ components }: Document) {
    this.#schemas = components?.schemas ?? {}
  }

  takeFrom({ requestBody, responses }: Operation): void {
    const contents = [requestBody?.content, ...Object.values(responses).map(({ content }) => content)]
    for (const media of contents.flatMap((content) => Object.values(content ?? {}))) {
      const { schema } = media
      if (!('example' in media) && schema.format !== 'binary') media.example = exampleOf(schema)
      media.schema = this.#hoist(schema)
    }
  }

  #hoist(schema: JsonSchema): JsonSchema {
    const { properties, items } = schema
    const inner: JsonSchema = {
      ...schema,
      ...(properties && {
        properties: Object.fromEntries(
          Object.entries(properties).map(([name, part]) => [name, this.#hoist(part)] as const),
        ),
      }),
      ...(items && { items: this.#hoist(items) }),
    }
    const { title } = schema
    return title === undefined ? inner : this.#name(title, inner)
  }

  #name(title: string, schema: JsonSchema): JsonSchema {
    const text = JSON.stringify(schema)
    const known = this.#texts.get(title)
    if (known !== undefined && known !== text) throw new Error(`two schemas are called ${title}`)
    this.#texts.set(title, text)
    this.#schemas[title] = schema
    return { $ref: `#/components/schemas/${title}` } as JsonSchema
  }
}
