import type { TSchema } from 'typebox'
import { Type } from 'typebox'
import { ERROR_TABLE } from '../errors.ts'

/** One fault of a body or query. */
const FieldFault = Type.Object(
  { pointer: Type.String(), message: Type.String() },
  { additionalProperties: false },
)

/** Every error's body: `application/problem+json` (RFC 9457) with a code of the table. */
export function problemSchema(codes: readonly string[]) {
  const isClosed = codes.every((code) => code in ERROR_TABLE)
  return Type.Object(
    {
      type: Type.String(),
      title: Type.String(),
      status: Type.Integer(),
      detail: Type.Optional(Type.String()),
      instance: Type.Optional(Type.String()),
      code: Type.Unsafe<string>({ type: 'string', enum: [...codes] }),
      requestId: Type.String(),
      required: Type.Optional(Type.String()),
      errors: Type.Optional(Type.Array(FieldFault)),
    },
    // The errors of an application may have fields of their own.
    { additionalProperties: !isClosed, title: 'Problem' },
  )
}

export const Problem = problemSchema(Object.keys(ERROR_TABLE))

/** The answers that any route may give besides its own. */
export const PROBLEM_RESPONSES: Readonly<Record<string, TSchema>> = { '4xx': Problem, '5xx': Problem }

/** An answer without a body. */
export const NoBody = Type.Null()
