import type { FastifyReply, FastifyRequest } from 'fastify'
import { type CommandAnswer, runOnce } from '../../collections/idempotency.ts'
import { fail } from '../../errors.ts'
import { ticketOf } from '../command.ts'
import type { HttpDeps } from '../deps.ts'
import { sessionFor, workInside } from './request-tenant.ts'

export type Work = (request: FastifyRequest, reply: FastifyReply) => unknown
export type Digest = (request: FastifyRequest, answered: unknown) => Promise<string>

/**
 * Runs a handler once for its `Idempotency-Key`. The handler runs in one transaction, which `request.tenant` uses too and which
 * also stores the answer. A repeated request gets the stored answer, and the handler does not run.
 */
export async function answerOnce(
  { key, digest, work, deps }: { key: string; digest: Digest | undefined; work: Work; deps: HttpDeps },
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const ticket = ticketOf(request, key, digest)
  let noted: Awaited<ReturnType<typeof workInside>>['noted'] = []
  const { answer, replayed } = await runOnce(sessionFor(request), ticket, async (session) => {
    const inside = deps.own.schema.over(session)
    const done = await workInside(request, inside, () => recorded(work, request, reply))
    noted = done.noted
    return done.result
  })
  for (const record of noted) deps.auditTrail.note(record)
  reply.code(answer.status).headers(answer.headers ?? {})
  if (replayed) reply.header('idempotency-replayed', 'true')
  return answer.body
}

/** Records the answer of a handler, also if it calls `send`: nothing may be sent before the transaction has committed. */
async function recorded(work: Work, request: FastifyRequest, reply: FastifyReply): Promise<CommandAnswer> {
  const before = reply.getHeaders()
  let sent: { readonly payload: unknown } | null = null
  const recorder: FastifyReply = Object.create(reply, {
    send: {
      value: (payload: unknown) => {
        sent = { payload }
        return recorder
      },
    },
    // biome-ignore lint/suspicious/noThenProperty: awaiting a reply waits until it is sent, and this one is never sent
    then: { value: undefined },
    callNotFound: { value: () => refuse(fail('NOT_FOUND')) },
    hijack: {
      value: () =>
        refuse(
          new Error(
            `${nameOf(request)}: a handler cannot hijack the reply of a request with an Idempotency-Key`,
          ),
        ),
    },
  })
  const returned = await work(request, recorder)
  const body = sent === null ? returned : (sent as { readonly payload: unknown }).payload
  if (body === recorder || !isJson(body))
    throw new Error(`${nameOf(request)}: the answer to a request with an Idempotency-Key must be JSON`)
  return { status: reply.statusCode, headers: changed(before, reply.getHeaders()), body: body ?? null }
}

function refuse(error: Error): never {
  throw error
}

function nameOf({ method, routeOptions }: FastifyRequest): string {
  return `${method} ${routeOptions.url}`
}

type Headers = ReturnType<FastifyReply['getHeaders']>

/**
 * The headers that the handler has set. Earlier headers belong to this request alone and are not stored. Cookies are not stored
 * either, because they may be credentials.
 */
function changed(before: Headers, after: Headers): Record<string, string> {
  const own = Object.entries(after).filter(
    ([name, value]) =>
      value !== undefined && name !== 'set-cookie' && (before as Record<string, unknown>)[name] !== value,
  )
  return Object.fromEntries(own.map(([name, value]) => [name, String(value)]))
}

function isJson(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return typeof body !== 'function' && typeof body !== 'bigint'
  return !(body instanceof Uint8Array || 'pipe' in body || 'getReader' in body || body instanceof Response)
}
