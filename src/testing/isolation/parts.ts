import type { InjectOptions } from 'fastify'
import type { TenantRoute } from './routes.ts'

/** The parts of a request, which can be replaced one by one. */
export interface Parts {
  readonly params: Readonly<Record<string, string>>
  readonly query: Readonly<Record<string, string>>
  readonly headers: Readonly<Record<string, string>>
  readonly payload: unknown
  /** Replaces the route's own path with `params` and `query`. */
  readonly url?: string
}

/** The request of these parts. */
export function requestOf(
  route: TenantRoute,
  { params, query, headers, payload, url }: Parts,
): InjectOptions {
  const path = route.url.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
  const search = new URLSearchParams(query).toString()
  return {
    method: route.method as NonNullable<InjectOptions['method']>,
    url: url ?? (search === '' ? path : `${path}?${search}`),
    headers: { ...headers },
    ...(payload !== undefined && { payload: payload as NonNullable<InjectOptions['payload']> }),
  }
}

/** All text of a request: URL, headers and body. */
export function wordsOf({ url, headers, payload }: InjectOptions): string {
  const body =
    typeof payload === 'string' || Buffer.isBuffer(payload) ? String(payload) : JSON.stringify(payload)
  return `${decodeURIComponent(String(url))} ${JSON.stringify(headers)} ${body ?? ''}`
}

/** All texts in a JSON value, each with its path. */
export function leavesOf(
  value: unknown,
  path: readonly string[] = [],
): { path: readonly string[]; text: string }[] {
  if (typeof value === 'string') return [{ path, text: value }]
  if (typeof value !== 'object' || value === null || Buffer.isBuffer(value)) return []
  return Object.entries(value).flatMap(([name, part]) => leavesOf(part, [...path, name]))
}

/** A copy of a JSON value, with another text at one path. */
export function replaced(value: unknown, [name, ...rest]: readonly string[], text: string): unknown {
  if (name === undefined) return text
  if (Array.isArray(value))
    return value.map((part, i) => (String(i) === name ? replaced(part, rest, text) : part))
  const object = value as Record<string, unknown>
  return { ...object, [name]: replaced(object[name], rest, text) }
}
