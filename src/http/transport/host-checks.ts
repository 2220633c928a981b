import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** The process holds the headers of each request in memory before it checks a credential, so they may be no longer than this. */
const MAX_HEADERS_BYTES = 64 * 1024
/** What the longest tokens of issuers and the other headers need. */
const NEEDED_HEADERS_BYTES = 32 * 1024

interface HostOptions {
  readonly trustProxy?: unknown
  readonly http?: { readonly insecureHTTPParser?: boolean } | null
  readonly querystringParser?: unknown
  readonly routerOptions?: { readonly querystringParser?: unknown }
}

interface Log {
  warn(fields: object, message: string): void
}

/**
 * Checks the options of a host's Fastify. Logs those that weaken a protection.
 * @throws Error that names each option that would remove a protection
 */
export function assertHost(host: FastifyInstance, log: Log): void {
  if (!/^5\./.test(host.version))
    throw new Error(`Freehold needs Fastify 5; this host is Fastify ${host.version}. Install fastify@5.`)
  const options = optionsOf(host)
  const problems = problemsOf(host, options)
  if (problems.length > 0) throw new Error(`Freehold cannot run in this Fastify: ${problems.join(' ')}`)
  for (const [option, detail] of weaknessesOf(host, options))
    log.warn({ option, detail }, 'an option of the host weakens a protection')
}

function problemsOf({ server }: FastifyInstance, { trustProxy, http }: HostOptions): string[] {
  const { maxHeaderSize = 0 } = server as Server & { maxHeaderSize?: number }
  return [
    ...(trustProxy === true
      ? [
          'trustProxy trusts every address, so that callers can choose the address by which their logins are counted; list the addresses of your proxies.',
        ]
      : []),
    ...(http?.insecureHTTPParser === true
      ? ['http.insecureHTTPParser accepts requests that a proxy may read differently; leave it out.']
      : []),
    ...(maxHeaderSize > MAX_HEADERS_BYTES
      ? [`http.maxHeaderSize is above ${MAX_HEADERS_BYTES}; set it to ${NEEDED_HEADERS_BYTES}.`]
      : []),
  ]
}

function weaknessesOf({ server }: FastifyInstance, options: HostOptions): [option: string, detail: string][] {
  const { maxHeaderSize, requestTimeout } = server as Server & { maxHeaderSize?: number }
  const parser = options.querystringParser ?? options.routerOptions?.querystringParser
  const weak: [string, string][] = []
  if (requestTimeout === 0) weak.push(['requestTimeout', 'a request may take forever to arrive; set 60000'])
  if (maxHeaderSize === undefined || maxHeaderSize < NEEDED_HEADERS_BYTES)
    weak.push(['http.maxHeaderSize', `long tokens may not fit; set ${NEEDED_HEADERS_BYTES}`])
  if (typeof parser === 'function')
    weak.push(['querystringParser', 'parameters that it drops are not refused as undeclared'])
  return weak
}

/** Fastify shows some of its options in `initialConfig` and keeps all of them under a symbol. */
function optionsOf(host: FastifyInstance): HostOptions {
  for (let at: object | null = host; at !== null; at = Object.getPrototypeOf(at)) {
    const symbol = Object.getOwnPropertySymbols(at).find(
      ({ description }) => description === 'fastify.options',
    )
    if (symbol !== undefined) return Reflect.get(at, symbol) as HostOptions
  }
  throw new Error(
    'the options of the host cannot be read: this release of Freehold does not know its Fastify',
  )
}
