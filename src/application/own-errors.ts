import { ERROR_TABLE, type ErrorCode, type ErrorEntry, type FieldError, PublicError } from '../errors.ts'

/** Errors of an application by their codes. */
export type OwnErrors = Readonly<Record<string, ErrorEntry>>

const CODE = /^[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*$/
const MAX_CODE_LENGTH = 64

/** Finds the faults in an application's table of errors. */
export function faultsOfErrors(errors: OwnErrors): string[] {
  return Object.entries(errors).flatMap(([code, { status, title }]) => [
    ...(CODE.test(code) && code.length <= MAX_CODE_LENGTH
      ? []
      : [`The error "${code}" must be named in capitals with underscores, such as "SLOT_TAKEN".`]),
    ...(Object.hasOwn(ERROR_TABLE, code)
      ? [`The error code "${code}" belongs to Freehold. Throw it without declaring it, or rename yours.`]
      : []),
    ...(Number.isInteger(status) && status >= 400 && status <= 599
      ? []
      : [`The error "${code}" must have a status from 400 to 599.`]),
    ...(typeof title === 'string' && title.trim() !== '' ? [] : [`The error "${code}" must have a title.`]),
  ])
}

/** An application's own error code, thrown by code that does not know the application. The answer looks up its status and title. */
export class OwnProblem extends Error {
  override readonly name = 'OwnProblem'
  readonly code: string
  readonly detail: string | undefined
  readonly fields: Readonly<Record<string, unknown>>

  constructor(code: string, detail: string | undefined, fields: Readonly<Record<string, unknown>>) {
    super(detail ?? code)
    this.code = code
    this.detail = detail
    this.fields = fields
  }
}

/**
 * Throws an error that callers see: a code of the error table, or one that the application declared in
 * `defineApplication({ errors })`. The fields of `extra` become members of the answer, but never replace its standard members.
 */
export function problem(code: string, detail?: string, extra: Readonly<Record<string, unknown>> = {}): never {
  if (!Object.hasOwn(ERROR_TABLE, code)) throw new OwnProblem(code, detail, extra)
  const { errors, ...fields } = extra
  throw new PublicError(code as ErrorCode, {
    ...(detail !== undefined && { detail }),
    ...(isFaults(errors) && { errors }),
    fields,
  })
}

/** True for a list of field faults. `errors` is the only standard member that an application may set. */
function isFaults(errors: unknown): errors is FieldError[] {
  const isText = (value: unknown) => typeof value === 'string'
  return Array.isArray(errors) && errors.every((fault) => isText(fault?.pointer) && isText(fault?.message))
}

/** The public error for an application's own code, or null if the application did not declare the code. */
export function declaredProblem({ code, detail, fields }: OwnProblem, errors: OwnErrors): PublicError | null {
  if (!Object.hasOwn(errors, code)) return null
  const { status, title, retryAfterSeconds } = errors[code] as ErrorEntry
  const entry = { status, title, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) }
  return new PublicError(code as ErrorCode, { ...(detail !== undefined && { detail }), fields }, entry)
}
