import type { TSchema } from 'typebox'
import { Type } from 'typebox'
import { ERROR_TABLE } from '../../errors.ts'

/** One fault of a body or query. */
const FieldFault = Type.Object(
  { pointer: Type.String(), message: Type.String() },
  { additionalProperties: false },
)

/** The body of every error: `application/problem+json` (RFC 9457) with a code of the error table. */
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
    // An application's errors may have fields of their own.
    { additionalProperties: !isClosed, title: 'Problem' },
  )
}

const Problem = problemSchema(Object.keys(ERROR_TABLE))

/** The errors that any endpoint may answer. */
export const PROBLEM_RESPONSES: Readonly<Record<string, TSchema>> = { '4xx': Problem, '5xx': Problem }

/** An answer without a body. */
export const EmptyBody = Type.Null()
