import type { RouteOptions } from 'fastify'
import { hasField, isCounted } from '../answer-codes.ts'
import { credentialsOf, TENANT_CREDENTIALS } from '../credentials.ts'
import { takesCursor } from '../paging.ts'
import type { HeaderName, ParameterName } from '../schemas/headers.ts'
import { headerRefs, parameterRef, RATE_HEADERS } from './components.ts'
import type { Document, Errors, Operation, Parameter } from './document-parts.ts'
import { NamedSchemas } from './named-schemas.ts'
import { ProblemAnswers } from './problem-answers.ts'
import { dropUnused, shareParameters } from './shared-parts.ts'

const STATUS_TEXTS: Readonly<Record<string, string>> = {
  200: 'The answer.',
  201: 'Created.',
  202: 'Accepted. A job does it in the background.',
  204: 'Done. There is no body.',
  206: 'The range that the request asks for.',
  304: 'The row still has the version that the request names.',
  503: 'Not ready.',
}

interface Declared {
  readonly routes: ReadonlyMap<string, RouteOptions>
  readonly errors: Errors
}

/** Adds to the document what routes declare besides their schemas, and moves shared parts to the components. */
export function complete<D extends Document>(document: D, { routes, errors }: Declared): D {
  const components = document.components ?? {}
  const schemas = new NamedSchemas(components.schemas ?? {})
  const problems = new ProblemAnswers(errors)
  const tags = new Map<string, string>()
  for (const [path, operations] of Object.entries(document.paths ?? {})) {
    for (const [method, operation] of Object.entries(operations)) {
      const route = routes.get(`${method.toUpperCase()} ${path}`)
      if (route === undefined) continue
      completeRequest(operation, route)
      completeAnswers(operation, route)
      schemas.takeFrom(operation)
      Object.assign(operation.responses, problems.refsFor(route))
      for (const tag of operation.tags ?? []) tags.set(tag, tags.get(tag) ?? sentenceFor(tag, route))
    }
  }
  document.tags = [...tags].map(([name, description]) => ({ name, description }))
  document.security = TENANT_CREDENTIALS
  document.components = { ...components, responses: problems.responses }
  shareParameters(document)
  dropUnused(document)
  return document
}

/** An application may give its routes tags of its own. */
function sentenceFor(name: string, { config }: RouteOptions): string {
  const { tag } = config?.document ?? {}
  return tag?.name === name ? tag.description : 'Endpoints of the application.'
}

function completeRequest(operation: Operation, route: RouteOptions): void {
  const { access, document = {} } = route.config ?? {}
  const credentials = credentialsOf(access)
  if (credentials !== TENANT_CREDENTIALS) operation.security = credentials
  if (!takesBody(route)) delete operation.requestBody
  if (operation.requestBody && mayBeLeftOut(route.schema?.body)) operation.requestBody.required = false
  if (document.requestContent !== undefined)
    operation.requestBody = { required: true, content: structuredClone(document.requestContent) }
  const actsFor: ParameterName[] = access?.kind === 'tenant' || access?.kind === 'either' ? ['act-for'] : []
  const asked = [...(document.asks ?? []), ...actsFor, 'request-id' as const]
  operation.parameters = [...(operation.parameters ?? []).map(withDefault), ...asked.map(parameterRef)]
}

/** A parameter with a default may be left out. */
function withDefault(parameter: Parameter): Parameter {
  return parameter.schema?.default === undefined ? parameter : { ...parameter, required: false }
}

/** True if the document shows a body. A body that must be empty is not shown. */
function takesBody({ schema, config }: RouteOptions): boolean {
  if (config?.document?.requestContent !== undefined) return true
  const { properties = {} } = (schema?.body ?? {}) as { properties?: object }
  return schema?.body !== undefined && !(mayBeLeftOut(schema.body) && Object.keys(properties).length === 0)
}

/** Fastify validates a missing body as null. */
function mayBeLeftOut(body: unknown): boolean {
  const { type } = (body ?? {}) as { type?: unknown }
  return Array.isArray(type) && type.includes('null')
}

function completeAnswers({ responses }: Operation, route: RouteOptions): void {
  const { access, document = {} } = route.config ?? {}
  for (const status of Object.keys(responses)) if (/^[45]XX$/.test(status)) delete responses[status]
  const counted: readonly HeaderName[] = isCounted(access) ? RATE_HEADERS : []
  const paged = takesCursor(route) ? (['link'] as const) : []
  const replayed = hasField(route.schema?.headers, 'idempotency-key')
    ? (['idempotency-replayed'] as const)
    : []
  for (const [status, answer] of Object.entries(responses)) {
    const own = headersAt(status, document.headers ?? [])
    answer.headers = headerRefs(['x-request-id', ...own, ...paged, ...replayed, ...counted])
    if (answer.description === 'Default Response') answer.description = STATUS_TEXTS[status] ?? 'The answer.'
  }
}

/** Only 206 has `Content-Range`. A 304 has only the row's tag. */
function headersAt(status: string, headers: readonly HeaderName[]): readonly HeaderName[] {
  if (status === '304') return headers.filter((name) => name === 'etag')
  if (status !== '206') return headers.filter((name) => name !== 'content-range')
  return headers
}
