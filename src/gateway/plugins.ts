import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Gateway as PublicGateway, Scope } from '../application.ts'
import { Gateway } from '../gateway.ts'
import { decorate, serveApi } from '../http/server.ts'
import { assertHost } from '../http/transport/host-checks.ts'
import { hostScope } from '../http/transport/host-routes.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The gateway, and the methods that register routes whose callers Freehold authenticates. */
    readonly freehold: Scope & { readonly gateway: PublicGateway }
  }
}

export interface FreeholdOptions {
  readonly gateway: PublicGateway
}

/** Shorter than Fastify's time limit for plugins, so that the host starts even if the databases do not answer yet. */
const FIRST_ATTEMPT_MS = 3_000
const started = new WeakSet<Gateway>()
const served = new WeakSet<Gateway>()

/**
 * Starts a gateway when the host is ready. Closes it when the host closes, after the host's requests have ended. Decorates the host
 * with `freehold` and its requests with `tenant`.
 */
export const freehold = fastifyPlugin<FreeholdOptions>(
  async (host, options) => {
    const gateway = gatewayOf(options, 'freehold')
    if (Object.hasOwn(host, 'freehold'))
      throw new Error(
        'this Fastify already has a gateway. Register each gateway in its own scope: app.register(async (scope) => { await scope.register(freehold, { gateway }) })',
      )
    assertHost(host, gateway.http.log)
    assertOnce(started, gateway, 'freehold')
    decorate(host)
    if (!host.hasRequestDecorator('errorCode')) host.decorateRequest('errorCode', null)
    // The scope belongs to the instance that reads the decorator, so that a route gets that instance's prefix.
    const scopeOf = (instance: FastifyInstance) => ({
      ...hostScope(instance, gateway.http),
      gateway: options.gateway,
    })
    host.decorate('freehold', {
      getter(this: FastifyInstance) {
        return scopeOf(this)
      },
    } as never)
    host.addHook('onReady', () => begin(gateway))
    host.addHook('preClose', async () => gateway.leave())
    host.addHook('onClose', () => gateway.close())
  },
  { name: 'freehold', fastify: '5.x' },
)

/**
 * Serves the API below `prefix`. Its parsers, validators and error handler apply only there. This plugin does not start the gateway;
 * `freehold` does.
 */
export const freeholdApi: FastifyPluginAsync<FreeholdOptions> = async (scope, options) => {
  const gateway = gatewayOf(options, 'freeholdApi')
  assertHost(scope, gateway.http.log)
  if (scope.prefix === '')
    throw new Error('freeholdApi needs its own prefix: register(freeholdApi, { gateway, prefix: "/api/v1" })')
  assertOnce(served, gateway, 'freeholdApi')
  serveApi(scope, gateway.http, { isInside: true })
}

function gatewayOf({ gateway }: FreeholdOptions, plugin: string): Gateway {
  if (gateway instanceof Gateway) return gateway
  throw new TypeError(
    `register(${plugin}, { gateway }) needs the result of createGateway from this copy of the package freehold`,
  )
}

function assertOnce(known: WeakSet<Gateway>, gateway: Gateway, plugin: string): void {
  if (known.has(gateway))
    throw new Error(`this gateway is registered twice: register(${plugin}, …) takes each gateway once`)
  known.add(gateway)
}

/** Waits for the start for a limited time. After that the start continues in the background; until it ends, requests get 503. @throws StartRefusedError */
async function begin(gateway: Gateway): Promise<void> {
  const work = gateway.start()
  const { log } = gateway.http
  const late = Promise.withResolvers<'late'>()
  const timer = setTimeout(() => late.resolve('late'), FIRST_ATTEMPT_MS)
  try {
    const outcome = await Promise.race([work, late.promise])
    if (outcome === 'late') work.catch((err: unknown) => log.error({ err }, 'the gateway cannot start'))
  } finally {
    clearTimeout(timer)
  }
}
