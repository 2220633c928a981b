import { existsSync, writeFileSync } from 'node:fs'
import type { Application } from '../application.ts'
import type { Settings } from '../config/settings.ts'
import type { Embedded } from '../embedded/start.ts'
import { type GatewayOptions, gatewayOptions } from '../gateway/gateway-options.ts'
import { HttpListener } from '../gateway/listener.ts'
import { StartRefusedError } from '../gateway/start/start-refusals.ts'
import { Gateway } from '../gateway.ts'
import { createLogger, type Logger } from '../logger.ts'
import { CommandError, EXIT } from './exit-codes.ts'
import { Shutdown } from './shutdown.ts'

const FIRST_ATTEMPT_MS = 3_000

/**
 * Serves an application until a signal ends the process. If the settings name no databases, starts an embedded PostgreSQL and makes
 * demonstration tenants.
 * @throws StartRefusedError, EmbeddedServerError, CommandError after everything that was opened is closed
 */
export async function serve(settings: Settings, application: Application): Promise<void> {
  const log = createLogger(settings.logLevel)
  const shutdown = new Shutdown(settings.shutdownGraceMs, log)
  try {
    await open(settings, application, { shutdown, log })
  } catch (error) {
    // After a signal, errors come from parts that are being closed. The shutdown ends the process.
    if (shutdown.begun) return
    await shutdown.close().catch((err: unknown) => log.error({ err }, 'shutdown failed'))
    throw error
  }
}

async function open(
  settings: Settings,
  application: Application,
  { shutdown, log }: { shutdown: Shutdown; log: Logger },
): Promise<void> {
  const embedded = settings.embedded
    ? await shutdown.open(startEmbedded(application, log), ({ server }) => server.stop())
    : null
  if (shutdown.begun) return
  const options = gatewayOptions(settings, { application, embedded, log })
  const gateway = new Gateway(options)
  const listener = await shutdown.open(new HttpListener(gateway, settings), (opened) => opened.end())
  const started = embedded === null ? gateway.start() : gateway.start().catch(refuseDrifted)
  // If the databases answer, the gateway is ready before its port opens. If not, the port opens and /readyz says so.
  await Promise.race([started, new Promise((resolve) => setTimeout(resolve, FIRST_ATTEMPT_MS).unref())])
  if (shutdown.begun) return
  const [{ port }] = await Promise.all([listen(listener, settings), started])
  if (embedded !== null && !shutdown.begun) await presentDemo(gateway, embedded, { options, port })
}

async function startEmbedded(application: Application, log: Logger): Promise<Embedded> {
  // Loaded here, because a production installation has no embedded PostgreSQL.
  const { startEmbedded: start } = await import('../embedded/start.ts')
  return start(application, (line) => log.info({ part: 'postgres' }, line))
}

/** Only this directory uses the data of the embedded server, so the error says how to delete it. */
async function refuseDrifted(error: unknown): Promise<never> {
  if (!(error instanceof StartRefusedError && error.code === 'SCHEMA_DRIFTED')) throw error
  const { START_OVER } = await import('../embedded/bring-up-to-date.ts')
  throw new StartRefusedError(error.code, `${error.message}. ${START_OVER}`, error)
}

const ADDRESS_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use already. Stop the process that uses it, or set PORT to another',
  EACCES: 'may not be opened by this account. Set PORT to 1024 or above',
  EADDRNOTAVAIL: 'is not an address of this machine. Set HOST to one of its addresses',
  ENOTFOUND: 'cannot be looked up. Set HOST to an address of this machine',
}

async function listen(listener: HttpListener, { host, port }: Settings): Promise<{ port: number }> {
  try {
    return await listener.listen()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    const fault = ADDRESS_FAULTS[code]
    if (fault === undefined) throw error
    throw new CommandError(`${host} port ${port} ${fault} (${code}).`, { code, exitCode: EXIT.failed })
  }
}

async function presentDemo(
  gateway: Gateway,
  { databases, migrated, seededMark }: Embedded,
  { options, port }: { options: GatewayOptions; port: number },
): Promise<void> {
  const { demoBanner } = await import('../embedded/banner.ts')
  const { seedDemo } = await import('../embedded/demo.ts')
  const isRepeated = existsSync(seededMark)
  const { seed } = options.application
  await seedDemo(gateway, { seed, databases: databases.dedicated, migrated, isRepeated })
  if (!isRepeated) writeFileSync(seededMark, '', { mode: 0o600 })
  process.stderr.write(
    demoBanner(reachableUrl(options.settings.host, port), {
      operatorToken: options.operatorToken?.reveal() ?? '',
      collection: options.application.resources[0]?.name ?? null,
    }),
  )
}

/** 0.0.0.0 and :: mean all addresses to a listener, but a client cannot call them. */
function reachableUrl(host: string, port: number): string {
  const called = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `http://${called.includes(':') ? `[${called}]` : called}:${port}`
}
