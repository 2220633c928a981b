import { hash } from 'node:crypto'
import type { FastifyRequest, FastifySchema, RouteOptions } from 'fastify'
import { Type } from 'typebox'
import { type CommandAnswer, runOnce, type Ticket } from '../collections/idempotency.ts'
import type { TenantSession } from '../sql/session.ts'
import { actorOf, contextOf } from './pipeline.ts'
import { pathOf } from './transport/request-head.ts'

/** Works on the session it is handed and nowhere else, and leaves it to the route to answer. */
export type Run = (request: FastifyRequest, session: TenantSession) => Promise<CommandAnswer>

/** A POST that callers may repeat. */
export interface CommandRoute {
  readonly url: string
  readonly config: RouteOptions['config'] & object
  readonly schema: FastifySchema
  readonly run: Run
}

/**
 * Where the body is not JSON but a stream, which can be read only once: tells the request from others by what was answered to
 * it, and a repetition (`answered` is null then) by reading its body to the end.
 */
type Digest = (request: FastifyRequest, answered: unknown) => Promise<string>

export const KEY_HEADER = 'idempotency-key'

export const COMMAND_HEADERS = Type.Object({
  [KEY_HEADER]: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 255,
      pattern: '^[\\x20-\\x7e]*$',
      description:
        'A name for this request. If the request is sent again within 24 hours, it gets the first answer again.',
    }),
  ),
})

/**
 * A POST whose answer is kept for those who repeat it with the same `Idempotency-Key`. Without the header the command
 * works on the request's own session, as any route does.
 */
export function command({ run, ...route }: CommandRoute): RouteOptions {
  return {
    ...route,
    method: 'POST',
    schema: { ...route.schema, headers: COMMAND_HEADERS },
    handler: async (request, reply) => {
      const { session } = contextOf(request)
      const key = request.headers[KEY_HEADER]
      const { answer, replayed } =
        typeof key === 'string'
          ? await runOnce(session, ticketOf(request, key), (inside) => run(request, inside))
          : { answer: await run(request, session), replayed: false }
      reply.code(answer.status).headers(answer.headers ?? {})
      if (replayed) reply.header('idempotency-replayed', 'true')
      return answer.body
    },
  }
}

/** A key is its principal's own: another's request under the same key is another request. */
export function ticketOf(request: FastifyRequest, key: string, digest?: Digest): Ticket {
  const { type, id } = actorOf(request)
  const place = [request.method, pathOf(request.url)]
  return {
    key: sha256([type, id, key]),
    fingerprint: async (answer) => {
      if (digest === undefined) return sha256([...place, sorted(request.body ?? null)])
      return sha256([...place, await digest(request, answer?.body ?? null)])
    },
  }
}

/** JSON, so that no two lists of parts have one text. */
function sha256(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts))
}

/** The same value with every object's names in order: how a body was written does not make it another request. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, part]) => [name, sorted(part)] as const)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
