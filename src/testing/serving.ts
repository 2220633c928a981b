import type { FastifyInstance, InjectOptions, LightMyRequestResponse, RouteOptions } from 'fastify'
import type { Application, Gateway as PublicGateway } from '../application.ts'
import { readSettings } from '../config.ts'
import { gatewayOptions } from '../gateway/gateway-options.ts'
import { HttpListener } from '../gateway/listener.ts'
import { Gateway } from '../gateway.ts'
import type {} from '../http/endpoint.ts'
import { createLogger } from '../logger.ts'
import { ReadingWatch } from './reading-watch.ts'

const PREFIX = '/api/v1/'

/** Sends requests. */
export interface Injector {
  /** Sends a request through the whole HTTP server, without a socket. `url` contains the prefix: `/api/v1/bookings`. */
  inject(request: InjectOptions): Promise<LightMyRequestResponse>
}

/** A running gateway, as its own process sees it. */
export interface Serving {
  readonly gateway: PublicGateway
  readonly url: string
  /** The routes that the application declares, also those of its resources. */
  readonly routes: readonly RouteOptions[]
  readonly watch: ReadingWatch
  inject(request: InjectOptions): Promise<LightMyRequestResponse>
  close(): Promise<void>
}

/** Starts a gateway with these settings, and its HTTP server. */
export async function startServing(application: Application, env: Record<string, string>): Promise<Serving> {
  const settings = readSettings(env, { mayEmbed: false })
  const log = createLogger(settings.logLevel, process.stderr)
  const gateway = new Gateway(gatewayOptions(settings, { application, embedded: null, log }))
  const listener = new HttpListener(gateway, settings)
  const { server } = listener
  const routes = collectRoutes(server)
  const watch = new ReadingWatch(server)
  try {
    await gateway.start()
    const { address, port } = await listener.listen()
    return {
      ...{ gateway, routes, watch, url: `http://${address}:${port}` },
      inject: (request) => server.inject(request),
      close: () => listener.end(),
    }
  } catch (error) {
    await listener.end()
    throw error
  }
}

/** Routes are registered while the server gets ready, so a hook that is added now sees all of them. */
function collectRoutes(server: FastifyInstance): RouteOptions[] {
  const routes: RouteOptions[] = []
  server.addHook('onRoute', (route) => {
    const isApplications = route.url.startsWith(PREFIX) && route.config?.isCore !== true
    if (isApplications && route.method !== 'OPTIONS') routes.push({ ...route })
  })
  return routes
}
