import type { LightMyRequestResponse } from 'fastify'

/** Texts by which it is known that an answer speaks of a tenant. */
export interface Traces {
  readonly ids: ReadonlySet<string>
  readonly words: readonly string[]
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi

/** What of a tenant an answer shows that the request did not say. Null where it shows nothing. */
export function shownOf(traces: Traces, answer: LightMyRequestResponse, asked: string): string | null {
  const said = `${answer.body} ${JSON.stringify(answer.headers)}`
  const word = traces.words.find((text) => said.includes(text) && !asked.includes(text))
  if (word !== undefined) return `the text ${word}`
  const lowered = asked.toLowerCase()
  for (const [id] of said.matchAll(UUID))
    if (traces.ids.has(id.toLowerCase()) && !lowered.includes(id.toLowerCase())) return `the id ${id}`
  return null
}

/** Headers that differ from one answer to the next whatever was asked. */
const PASSING = new Set([
  ...['date', 'x-request-id', 'connection', 'keep-alive', 'content-length'],
  ...['ratelimit-remaining', 'ratelimit-reset', 'retry-after'],
])

/** An answer without what differs between two that say the same, and without the id that was asked for. */
export function comparableText({ statusCode, headers, body }: LightMyRequestResponse, id: string): string {
  const shown = Object.entries(headers).filter(([name]) => !PASSING.has(name))
  const { requestId, instance } = problemIn(body)
  let text = JSON.stringify([statusCode, shown, body])
  for (const passing of [requestId, instance]) if (passing !== undefined) text = text.replaceAll(passing, '…')
  return text.replaceAll(id, '…')
}

function problemIn(body: string): { requestId?: string; instance?: string } {
  try {
    const { requestId, instance } = (JSON.parse(body) ?? {}) as Record<string, unknown>
    return {
      ...(typeof requestId === 'string' && { requestId }),
      ...(typeof instance === 'string' && { instance }),
    }
  } catch {
    return {}
  }
}
