import { readSettings, type Settings, SettingsError } from './config.ts'
import { demoBanner } from './embedded/banner.ts'
import { seedDemo } from './embedded/demo.ts'
import { EmbeddedServerError } from './embedded/failure.ts'
import type { Embedded } from './embedded/start.ts'
import { Gateway } from './gateway.ts'
import { parseHostRules } from './health/egress.ts'
import { isLoopback } from './lib/addresses.ts'
import type { ConnectionTarget } from './lib/connection-string.ts'
import type { ServerAddress } from './lib/pg.ts'
import { createLogger, type Logger } from './logger.ts'
import type { GatewayOptions } from './parts.ts'
import { StartRefusedError } from './startup.ts'

/** sysexits.h: something in the configuration keeps the process from running. */
const EX_CONFIG = 78
const FIRST_ATTEMPT_MS = 3_000
const FORCED_EXIT_MS = 5_000

async function main(): Promise<void> {
  const settings = readSettingsOrExit()
  const log = createLogger(settings.logLevel)
  const embedded = settings.embedded ? await startEmbedded(log) : null
  try {
    await serve(settings, embedded, log)
  } catch (error) {
    await embedded?.server.stop()
    throw error
  }
}

async function serve(settings: Settings, embedded: Embedded | null, log: Logger): Promise<void> {
  const gateway = new Gateway(gatewayOptions(settings, embedded, log))
  const stop = stopper(gateway, embedded, settings, log)
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(signal))
  const started = gateway.start()
  // A gateway whose databases answer is ready before its port is open; one whose databases do not says so at /readyz.
  await Promise.race([started, new Promise((resolve) => setTimeout(resolve, FIRST_ATTEMPT_MS).unref())])
  const { port } = await gateway.listen()
  await started
  if (embedded !== null) await presentDemo(gateway, embedded, port)
}

function readSettingsOrExit(): Settings {
  try {
    return readSettings()
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    for (const { name, message } of error.problems) process.stderr.write(`${name} ${message}\n`)
    process.exit(EX_CONFIG)
  }
}

async function startEmbedded(log: Logger): Promise<Embedded> {
  // Only here: a production image carries no PostgreSQL.
  const { startEmbedded: start } = await import('./embedded/start.ts')
  return start((line) => log.info({ part: 'postgres' }, line))
}

function gatewayOptions(settings: Settings, embedded: Embedded | null, log: Logger): GatewayOptions {
  if (embedded !== null) {
    const { server, databases, encryptionKey, operatorToken } = embedded
    return {
      settings,
      databases: {
        catalog: databases.catalog,
        catalogOwner: null,
        shared: databases.shared,
        sharedOwner: databases.sharedOwner,
      },
      encryptionKey: settings.encryptionKey ?? encryptionKey,
      operatorToken: settings.operatorToken ?? operatorToken,
      hostRules: settings.hostRules ?? parseHostRules(`${server.host}:${server.port}`),
      log,
    }
  }
  const { databases, encryptionKey, operatorToken, hostRules } = settings
  if (databases === null || encryptionKey === null) throw new Error('settings without databases or key')
  return {
    settings,
    databases: {
      catalog: addressOf(databases.catalog, settings),
      catalogOwner: databases.catalogMigration && addressOf(databases.catalogMigration, settings),
      shared: addressOf(databases.shared, settings),
      sharedOwner: databases.sharedMigration && addressOf(databases.sharedMigration, settings),
    },
    encryptionKey,
    operatorToken,
    hostRules,
    log,
  }
}

function addressOf(target: ConnectionTarget, settings: Settings): ServerAddress {
  return {
    host: target.host,
    port: target.port,
    database: target.database,
    user: target.user,
    password: async () => target.password.reveal(),
    sslMode: target.sslMode ?? (isLoopback(target.host) ? 'disable' : settings.sslModeDefault),
    caCertificate: null,
    applicationName: target.applicationName ?? 'freehold',
    lookup: null,
  }
}

async function presentDemo(gateway: Gateway, embedded: Embedded, port: number): Promise<void> {
  await seedDemo(gateway, embedded.databases.dedicated)
  process.stderr.write(demoBanner(`http://127.0.0.1:${port}`, embedded.operatorToken.reveal()))
}

/** Stops once, in order; a second signal, or a shutdown that hangs beyond its grace, ends the process at once. */
function stopper(gateway: Gateway, embedded: Embedded | null, settings: Settings, log: Logger) {
  let stopping = false
  return (signal: string): void => {
    if (stopping) process.exit(1)
    stopping = true
    log.info({ signal }, 'stopping')
    setTimeout(() => process.exit(1), settings.shutdownGraceMs + FORCED_EXIT_MS).unref()
    gateway
      .close()
      .finally(() => embedded?.server.stop())
      .then(
        () => {
          log.info('stopped')
          process.exit(0)
        },
        (err: unknown) => {
          log.error({ err }, 'not stopped in order')
          process.exit(1)
        },
      )
  }
}

main().catch((error: unknown) => {
  if (error instanceof StartRefusedError) {
    process.stderr.write(`${error.message} (${error.code})\n`)
    process.exit(EX_CONFIG)
  }
  const known = error instanceof EmbeddedServerError ? error.message : error
  process.stderr.write(`${known instanceof Error ? (known.stack ?? known.message) : known}\n`)
  process.exit(1)
})
