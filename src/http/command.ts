import { hash } from 'node:crypto'
import type { FastifyRequest, FastifySchema, RouteOptions } from 'fastify'
import { Type } from 'typebox'
import { type CommandAnswer, runOnce, type Ticket } from '../collections/idempotency.ts'
import type { TenantSession } from '../sql/session.ts'
import { actorOf, contextOf } from './pipeline.ts'
import { pathOf } from './transport/request-head.ts'

/** The work of a command. It uses only the given session, and the route sends its answer. */
export type Run = (request: FastifyRequest, session: TenantSession) => Promise<CommandAnswer>

/** A POST that callers may repeat. */
export interface CommandRoute {
  readonly url: string
  readonly config: RouteOptions['config'] & object
  readonly schema: FastifySchema
  readonly run: Run
}

/**
 * Gives a text that identifies a request whose body is a stream, which can be read only once. For the first request the text is
 * made from its answer. For a repeated request (`answered` is null) it is made by reading the body to its end.
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
 * A POST whose answer is stored. If the caller repeats the request with the same `Idempotency-Key`, the stored answer is sent.
 * Without the header the command uses the request's own session, as any endpoint does.
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

/** A key belongs to its principal: the same key from another principal names another request. */
export function ticketOf(request: FastifyRequest, key: string, digest?: Digest): Ticket {
  const { type, id } = actorOf(request)
  const endpoint = [request.method, pathOf(request.url)]
  return {
    key: sha256([type, id, key]),
    fingerprint: async (answer) => {
      if (digest === undefined) return sha256([...endpoint, sorted(request.body ?? null)])
      return sha256([...endpoint, await digest(request, answer?.body ?? null)])
    },
  }
}

/** The parts are hashed as JSON, so that two different lists never give the same text. */
function sha256(parts: readonly unknown[]): string {
  return hash('sha256', JSON.stringify(parts))
}

/** The same value with sorted property names, so that their order in the body does not matter. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).map(([name, part]) => [name, sorted(part)] as const)
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
