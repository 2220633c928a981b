import type { LightMyRequestResponse } from 'fastify'

/** Texts that show that an answer contains data of a tenant. */
export interface Traces {
  readonly ids: ReadonlySet<string>
  readonly words: readonly string[]
}

const UUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/gi

/** Finds data of a tenant in an answer to a request that did not contain it. Null if there is none. */
export function shownOf(traces: Traces, answer: LightMyRequestResponse, asked: string): string | null {
  const text = `${answer.body} ${JSON.stringify(answer.headers)}`
  const word = traces.words.find((each) => text.includes(each) && !asked.includes(each))
  if (word !== undefined) return `the text ${word}`
  const lowered = asked.toLowerCase()
  for (const [id] of text.matchAll(UUID))
    if (traces.ids.has(id.toLowerCase()) && !lowered.includes(id.toLowerCase())) return `the id ${id}`
  return null
}

/** Headers that differ between any two answers. */
const VARYING_HEADERS = new Set([
  ...['date', 'x-request-id', 'connection', 'keep-alive', 'content-length'],
  ...['ratelimit-remaining', 'ratelimit-reset', 'retry-after'],
])

/** The text of an answer without the requested id, and without values that differ between any two answers. */
export function comparableText({ statusCode, headers, body }: LightMyRequestResponse, id: string): string {
  const shown = Object.entries(headers).filter(([name]) => !VARYING_HEADERS.has(name))
  const { requestId, instance } = problemIn(body)
  let text = JSON.stringify([statusCode, shown, body])
  for (const value of [requestId, instance]) if (value !== undefined) text = text.replaceAll(value, '…')
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
