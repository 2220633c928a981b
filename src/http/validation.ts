import AjvCompiler from '@fastify/ajv-compiler'
import type { FastifySchemaCompiler } from 'fastify'

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

/** Compiles the schema of one part of a route. */
export const compileValidator: FastifySchemaCompiler<object> = (part) =>
  part.httpPart === 'body' ? exact(part) : coercing(part)
