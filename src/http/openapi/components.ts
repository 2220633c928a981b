/** The components of the document that do not come from a single route. */
import type { ErrorEntry } from '../../errors.ts'
import { CREDENTIALS } from '../credentials.ts'
import { ANSWER_HEADERS, type HeaderName, type ParameterName, requestHeaders } from '../schemas/headers.ts'
import { problemSchema } from '../schemas/problem.ts'

export const RATE_HEADERS = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'] as const

/** The headers of an answer, as references. */
export function headerRefs(names: Iterable<HeaderName>): Record<string, object> {
  const spelt = [...names].map(spellingOf)
  return Object.fromEntries(spelt.map((name) => [name, { $ref: `#/components/headers/${name}` }]))
}

const SPELLINGS: Readonly<Partial<Record<HeaderName, string>>> = {
  etag: 'ETag',
  'www-authenticate': 'WWW-Authenticate',
  'ratelimit-limit': 'RateLimit-Limit',
  'ratelimit-remaining': 'RateLimit-Remaining',
  'ratelimit-reset': 'RateLimit-Reset',
}

function spellingOf(name: HeaderName): string {
  const capitalised = name.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => {
    return dash + letter.toUpperCase()
  })
  return SPELLINGS[name] ?? capitalised
}

export function parameterRef(name: ParameterName): { readonly $ref: string } {
  return { $ref: `#/components/parameters/${name}` }
}

/** One example for each code. */
function problemExamples(errors: Readonly<Record<string, ErrorEntry>>): Record<string, object> {
  const examples = Object.entries(errors).map(([code, entry]) => [
    code,
    { summary: code, value: exampleProblem(code, entry) },
  ])
  return Object.fromEntries(examples)
}

function exampleProblem(code: string, { title, status }: ErrorEntry) {
  return {
    type: `urn:freehold:error:${code.toLowerCase().replaceAll('_', '-')}`,
    title,
    status,
    detail: `${title}.`,
    instance: '/api/v1/users',
    code,
    requestId: 'b1b4e0a2-request',
    ...(code === 'PERMISSION_DENIED' && { required: 'users:write' }),
    ...(code === 'VALIDATION_FAILED' && { errors: [{ pointer: '/name', message: 'is required' }] }),
  }
}

export function sharedComponents(actForHeader: string, errors: Readonly<Record<string, ErrorEntry>>) {
  const headers = Object.entries(ANSWER_HEADERS).map(([name, value]) => [
    spellingOf(name as HeaderName),
    value,
  ])
  return {
    securitySchemes: CREDENTIALS,
    headers: Object.fromEntries(headers),
    parameters: requestHeaders(actForHeader),
    examples: problemExamples(errors),
    schemas: { Problem: { ...problemSchema(Object.keys(errors)) } },
  }
}
