import { CommandError, EXIT } from '../exit-codes.ts'
import { plain } from './plain-text.ts'

interface Problem {
  readonly title?: unknown
  readonly detail?: unknown
  readonly code?: unknown
  readonly errors?: readonly { readonly pointer?: unknown; readonly message?: unknown }[]
}

const OTHER_TOKEN = "Set FREEHOLD_TOKEN or --token-file to an operator's token"

/** What to do about a refusal, where the code alone tells it. */
const REMEDIES: Readonly<Record<string, string>> = {
  UNAUTHENTICATED: OTHER_TOKEN,
  TOKEN_INVALID: OTHER_TOKEN,
  TOKEN_EXPIRED: OTHER_TOKEN,
  OPERATOR_REQUIRED: `This is a tenant's token. ${OTHER_TOKEN}`,
  PERMISSION_DENIED: 'A viewer may only read. Use the token of an admin',
  TENANT_NOT_FOUND: 'List the tenants: freehold tenants list',
  TENANT_CODE_TAKEN: 'Choose another code',
  RUN_IN_PROGRESS: 'See it with: freehold migrations status',
  DATABASE_IN_USE: "The tenant's rows are there. See it with: freehold databases get TENANT",
  CATALOG_UNAVAILABLE: 'See what is wrong with: freehold health',
  OUTCOME_UNKNOWN: 'The change may have been made. Look before you repeat it',
  NOT_FOUND: 'The commands named list show what there is',
}

/** The problem document of an answer as one line. */
export function refusalOf(status: number, body: unknown): CommandError {
  const problem = (typeof body === 'object' && body !== null ? body : {}) as Problem
  const code = wordOf(problem.code) ?? `HTTP_${status}`
  const errors = Array.isArray(problem.errors) ? problem.errors : []
  const faults = errors.map(({ pointer, message }) =>
    `${wordOf(pointer) ?? ''} ${wordOf(message) ?? ''}`.trim(),
  )
  const reason = faults.length > 0 ? faults.join('; ') : wordOf(problem.detail)
  const sentences = [wordOf(problem.title) ?? `The gateway answered ${status}`, reason, REMEDIES[code]]
  const line = sentences.filter((each) => each !== null && each !== undefined).map(withoutStop)
  return new CommandError(`${line.join('. ')} (${code})`, { code, exitCode: EXIT.failed, problem })
}

function wordOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? plain(value) : null
}

function withoutStop(sentence: string): string {
  return sentence.replace(/\.$/, '')
}
