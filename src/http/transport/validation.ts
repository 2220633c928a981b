import AjvCompiler from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifySchemaCompiler, FastifySerializerCompiler, RouteOptions } from 'fastify'

const OPTIONS = {
  // A field that is not in the schema is refused (`additionalProperties: false`), never silently dropped.
  removeAdditional: false,
  useDefaults: true,
  allErrors: true,
  allowUnionTypes: true,
  strictTypes: false,
} as const

const buildCompiler = AjvCompiler()
/** For bodies, in which "1" is a string and no number. */
const exact = buildCompiler({}, { customOptions: { ...OPTIONS, coerceTypes: false } })
/**
 * For queries, paths and headers, which are text, so that "1" may be a number. "1e400" becomes Infinity. With `strictNumbers` ajv
 * would not treat Infinity as a number and would check neither `minimum` nor `maximum`.
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
 * Compiles each schema once per process. Most routes share the schemas of their errors, and servers in one process share all
 * schemas. Compiling takes most of the time of a start.
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
  // Fastify validates a missing body as null.
  const bodiless = ['GET', 'HEAD'].includes(String(route.method))
  const body = bodiless ? {} : { body: { ...nothing, type: ['object', 'null'] } }
  route.schema = { querystring: nothing, ...body, ...route.schema }
}
