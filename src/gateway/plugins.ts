import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { Gateway as PublicGateway, Scope } from '../application.ts'
import { Gateway } from '../gateway.ts'
import { decorate, serveApi } from '../http/server.ts'
import { assertHost } from '../http/transport/host-checks.ts'
import { hostScope } from '../http/transport/host-routes.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Registers routes whose callers Freehold authenticates; and the gateway. */
    readonly freehold: Scope & { readonly gateway: PublicGateway }
  }
}

export interface FreeholdOptions {
  readonly gateway: PublicGateway
}

/** Shorter than Fastify's time limit for plugins: databases that do not answer yet must not stop the host from starting. */
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
        'this Fastify has a gateway already. Register each in a scope of its own: app.register(async (scope) => { await scope.register(freehold, { gateway }) })',
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
 * Serves the API below `prefix`. Its parsers, validators and error handler are encapsulated: they apply only there. `freehold`
 * starts the gateway; this plugin does not.
 */
export const freeholdApi: FastifyPluginAsync<FreeholdOptions> = async (scope, options) => {
  const gateway = gatewayOf(options, 'freeholdApi')
  assertHost(scope, gateway.http.log)
  if (scope.prefix === '')
    throw new Error(
      'freeholdApi needs a prefix of its own: register(freeholdApi, { gateway, prefix: "/api/v1" })',
    )
  assertOnce(served, gateway, 'freeholdApi')
  serveApi(scope, gateway.http, { isInside: true })
}

function gatewayOf({ gateway }: FreeholdOptions, plugin: string): Gateway {
  if (gateway instanceof Gateway) return gateway
  throw new TypeError(
    `register(${plugin}, { gateway }) needs what createGateway answers, of this copy of the package freehold`,
  )
}

function assertOnce(known: WeakSet<Gateway>, gateway: Gateway, plugin: string): void {
  if (known.has(gateway))
    throw new Error(`this gateway is registered twice: register(${plugin}, …) takes each gateway once`)
  known.add(gateway)
}

/** A start that takes longer continues in the background; requests are answered 503 until then. @throws StartRefusedError */
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
