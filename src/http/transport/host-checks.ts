import type { Server } from 'node:http'
import type { FastifyInstance } from 'fastify'

/** What a request's headers may have together at most: so much is held for each before a credential is looked at. */
const MAX_HEADERS_BYTES = 64 * 1024
/** What tokens of some issuers and the other headers need. */
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
 * Looks at the Fastify that a gateway is put into.
 * @throws Error that names an option which would undo a protection; those that only weaken one are logged
 */
export function assertHost(host: FastifyInstance, log: Log): void {
  if (!/^5\./.test(host.version))
    throw new Error(`Freehold needs Fastify 5; this host is Fastify ${host.version}. Install fastify@5.`)
  const options = optionsOf(host)
  const problems = problemsOf(host, options)
  if (problems.length > 0) throw new Error(`Freehold cannot stand in this Fastify: ${problems.join(' ')}`)
  for (const [option, detail] of weaknessesOf(host, options))
    log.warn({ option, detail }, 'an option of the host weakens a protection')
}

function problemsOf({ server }: FastifyInstance, { trustProxy, http }: HostOptions): string[] {
  const { maxHeaderSize = 0 } = server as Server & { maxHeaderSize?: number }
  return [
    ...(trustProxy === true
      ? [
          'trustProxy trusts every address, so that callers choose the one by which their sign-ins are counted; list the addresses of your proxies.',
        ]
      : []),
    ...(http?.insecureHTTPParser === true
      ? ['http.insecureHTTPParser lets requests through that a proxy reads otherwise; leave it out.']
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
  if (requestTimeout === 0) weak.push(['requestTimeout', 'a request may take for ever to arrive; set 60000'])
  if (maxHeaderSize === undefined || maxHeaderSize < NEEDED_HEADERS_BYTES)
    weak.push(['http.maxHeaderSize', `long tokens may not fit; set ${NEEDED_HEADERS_BYTES}`])
  if (typeof parser === 'function')
    weak.push(['querystringParser', 'what it leaves out of a query is not refused as undeclared'])
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
