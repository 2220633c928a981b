import AjvCompiler from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifySchemaCompiler, FastifySerializerCompiler, RouteOptions } from 'fastify'

const OPTIONS = {
  // What is not in a schema is refused there (`additionalProperties: false`) and never dropped in silence.
  removeAdditional: false,
  useDefaults: true,
  allErrors: true,
  allowUnionTypes: true,
  strictTypes: false,
} as const

const buildCompiler = AjvCompiler()
/** Bodies say what they mean: "1" is no number. */
const exact = buildCompiler({}, { customOptions: { ...OPTIONS, coerceTypes: false } })
/**
 * Queries, paths and headers are made of text, so "1" may be a number there. "1e400" becomes Infinity, which ajv with
 * `strictNumbers` takes for no number at all: it would be measured against neither `minimum` nor `maximum`.
 */
const coercing = buildCompiler(
  {},
  { customOptions: { ...OPTIONS, coerceTypes: 'array', strictNumbers: false } },
)

const stringify = SerializerSelector()({}, {})

/** Compiles the schema of one part of a route. */
export const compileValidator: FastifySchemaCompiler<object> = onceForEachSchema((part) =>
  part.httpPart === 'body' ? exact(part) : coercing(part),
)

/** Compiles the schema of one answer of a route. */
export const compileSerializer: FastifySerializerCompiler<object> = onceForEachSchema(
  (route) => stringify(route as never) as never,
)

/**
 * Compiles a schema the first time that it is met. Most routes share the schemas of their errors, and the servers of one
 * process share all of theirs; to compile takes most of the time of a start.
 */
function onceForEachSchema<Part extends { schema: object; httpPart?: string }, Compiled>(
  compile: (part: Part) => Compiled,
): (part: Part) => Compiled {
  const compiled = new Map<string, Compiled>()
  return (part) => {
    const key = `${part.httpPart === 'body'} ${JSON.stringify(part.schema)}`
    const known = compiled.get(key) ?? compile(part)
    compiled.set(key, known)
    return known
  }
}

/** A route refuses a query or a body that it does not declare. */
export function refuseUndeclaredParts(route: RouteOptions): void {
  const nothing = { type: 'object', properties: {}, additionalProperties: false }
  // A body that is left out is validated as null.
  const bodiless = ['GET', 'HEAD'].includes(String(route.method))
  const body = bodiless ? {} : { body: { ...nothing, type: ['object', 'null'] } }
  route.schema = { querystring: nothing, ...body, ...route.schema }
}
