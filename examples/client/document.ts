import { pino } from 'pino'
import { property } from '../../src/applications/property/application.ts'
import type { HttpDeps } from '../../src/http/deps.ts'
import { ownOf } from '../../src/http/own/own.ts'
import { createServer } from '../../src/http/server.ts'

/** The OpenAPI document of the reference application. The server only declares its routes, so it needs no database. */
export async function readDocument(): Promise<object> {
  const settings = { actForHeader: 'x-account-id', version: '0', trustedProxies: [] }
  const deps = { application: property, own: ownOf(property), settings, log: pino({ enabled: false }) }
  const server = createServer(deps as unknown as HttpDeps)
  try {
    await server.ready()
    return structuredClone(await server.readOpenApi())
  } finally {
    await server.close()
  }
}
