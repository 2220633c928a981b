import type { RouteOptions } from 'fastify'
import type { ErrorCode, ErrorEntry } from '../../errors.ts'
import { codesOf, isCounted, refusalsOf } from '../answer-codes.ts'
import type { HeaderName } from '../schemas/headers.ts'
import { headerRefs, RATE_HEADERS } from './components.ts'
import type { Errors } from './document-parts.ts'

interface Answered {
  readonly codes: readonly ErrorCode[]
  readonly counted: readonly HeaderName[]
}

/** The error answers. Routes with the same codes share one answer. */
export class ProblemAnswers {
  readonly responses: Record<string, unknown> = {}
  readonly #errors: Errors

  constructor(errors: Errors) {
    this.#errors = errors
  }

  /** References to the answers of one route, by status. */
  refsFor(route: RouteOptions): Record<string, { readonly $ref: string }> {
    const known = [...codesOf(route)].filter((code) => code in this.#errors).sort()
    const byStatus = Map.groupBy(known, (code) => this.#entryOf(code).status)
    const counted = isCounted(route.config?.access) ? RATE_HEADERS : []
    const refs = [...byStatus].map(([status, codes]) => {
      const name = nameOf(status, codes, route)
      this.responses[name] ??= this.#answer(status, { codes, counted })
      return [status, { $ref: `#/components/responses/${name}` }]
    })
    return Object.fromEntries(refs)
  }

  #answer(status: number, { codes, counted }: Answered) {
    const own: readonly HeaderName[] = [
      ...(codes.some((code) => this.#hasRetryAfter(code)) ? (['retry-after'] as const) : []),
      ...(status === 401 ? (['www-authenticate'] as const) : []),
    ]
    return {
      description: codes.map((code) => `\`${code}\`: ${this.#entryOf(code).title}.`).join(' '),
      headers: headerRefs(['x-request-id', ...own, ...counted]),
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

  /** The error table has no wait for a locked account, because that is a setting of its tenant. */
  #hasRetryAfter(code: ErrorCode): boolean {
    return code === 'ACCOUNT_LOCKED' || this.#entryOf(code).retryAfterSeconds !== undefined
  }

  #entryOf(code: ErrorCode): ErrorEntry {
    return this.#errors[code] as ErrorEntry
  }
}

/** For instance `503.tenant.OUTCOME_UNKNOWN`: the group of codes that the route's gates have, then the route's other codes. */
function nameOf(status: number, codes: readonly ErrorCode[], { config }: RouteOptions): string {
  const [first] = codes
  const open = isCounted(config?.access) ? [] : ['open']
  if (codes.length === 1 && first !== undefined) return [status, ...open, first].join('.')
  const refused = refusalsOf(config?.access)
  const group = refused.findLast((refusals) => refusals.codes.some((code) => codes.includes(code)))
  const groupCodes = refused.flatMap((refusals) => refusals.codes)
  const others = codes.filter((code) => group === undefined || !groupCodes.includes(code))
  return [status, ...open, ...(group === undefined ? [] : [group.name]), ...others].join('.')
}
