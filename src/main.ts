import { existsSync, writeFileSync } from 'node:fs'
import { property } from './applications/property/application.ts'
import { readSettings, type Settings, SettingsError } from './config.ts'
import { demoBanner } from './embedded/banner.ts'
import { seedDemo } from './embedded/demo.ts'
import { EmbeddedServerError } from './embedded/failure.ts'
import type { Embedded } from './embedded/start.ts'
import { Gateway } from './gateway.ts'
import { parseHostRules } from './health/egress.ts'
import { type ConnectionTarget, effectiveSslMode } from './lib/connection-string.ts'
import type { ServerAddress } from './lib/pg.ts'
import { createLogger, type Logger } from './logger.ts'
import type { GatewayOptions } from './parts.ts'
import { StartRefusedError } from './startup.ts'

/** sysexits.h: something in the configuration keeps the process from running. */
const EX_CONFIG = 78
const FIRST_ATTEMPT_MS = 3_000
const FORCED_EXIT_MS = 5_000
/** A terminal's Ctrl-C reaches us twice when npm started us: from the terminal, and passed on by npm. */
const SAME_SIGNAL_MS = 1_000

async function main(): Promise<void> {
  const settings = readSettingsOrExit()
  const log = createLogger(settings.logLevel)
  const shutdown = new Shutdown(settings.shutdownGraceMs, log)
  try {
    await serve(settings, shutdown, log)
  } catch (error) {
    // What fails because it is being closed is no news; the shutdown ends the process.
    if (shutdown.begun) return
    await shutdown.close().catch((err: unknown) => log.error({ err }, 'not stopped in order'))
    throw error
  }
}

async function serve(settings: Settings, shutdown: Shutdown, log: Logger): Promise<void> {
  const embedded = settings.embedded
    ? await shutdown.open(startEmbedded(log), ({ server }) => server.stop())
    : null
  if (shutdown.begun) return
  const options = gatewayOptions(settings, embedded, log)
  const gateway = await shutdown.open(new Gateway(options), (opened) => opened.close())
  const started = gateway.start()
  // A gateway whose databases answer is ready before its port is open; one whose databases do not says so at /readyz.
  await Promise.race([started, new Promise((resolve) => setTimeout(resolve, FIRST_ATTEMPT_MS).unref())])
  if (shutdown.begun) return
  const [{ port }] = await Promise.all([listen(gateway, settings), started])
  if (embedded !== null && !shutdown.begun) await presentDemo(gateway, embedded, { options, port })
}

function readSettingsOrExit(): Settings {
  try {
    // `start` is for where databases are given: an image that embedded a server would keep its data in a container.
    return readSettings(undefined, { mayEmbed: process.argv[2] !== 'start' })
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
      application: property,
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
    application: property,
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
    sslMode: effectiveSslMode(target, settings.sslModeDefault),
    caCertificate: null,
    handshake: target.handshake,
    applicationName: target.applicationName ?? 'freehold',
    lookup: null,
  }
}

/** What the person at the terminal can do something about, without a stack. */
class AddressError extends Error {}

const ADDRESS_FAULTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'is in use already. Stop who uses it, or set PORT to another',
  EACCES: 'may not be opened by this account. Set PORT to 1024 or above',
  EADDRNOTAVAIL: 'is no address of this machine. Set HOST to one that is',
  ENOTFOUND: 'cannot be looked up. Set HOST to an address of this machine',
}

async function listen(gateway: Gateway, { host, port }: Settings): Promise<{ port: number }> {
  try {
    return await gateway.listen()
  } catch (error) {
    const fault = ADDRESS_FAULTS[(error as NodeJS.ErrnoException).code ?? '']
    if (fault === undefined) throw error
    throw new AddressError(`${host} port ${port} ${fault} (${(error as NodeJS.ErrnoException).code}).`)
  }
}

async function presentDemo(
  gateway: Gateway,
  { databases, seededMark }: Embedded,
  { options, port }: { options: GatewayOptions; port: number },
): Promise<void> {
  const isRepeated = existsSync(seededMark)
  await seedDemo(gateway, { seed: options.application.seed, databases: databases.dedicated, isRepeated })
  if (!isRepeated) writeFileSync(seededMark, '', { mode: 0o600 })
  process.stderr.write(
    demoBanner(reachableUrl(options.settings.host, port), {
      operatorToken: options.operatorToken?.reveal() ?? '',
      collection: options.application.resources[0]?.name ?? null,
    }),
  )
}

/** A host to listen on may stand for all of them, and then is none to call. */
function reachableUrl(host: string, port: number): string {
  const called = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host
  return `http://${called.includes(':') ? `[${called}]` : called}:${port}`
}

/**
 * Closes what was opened, last first, once: at a signal (then the process ends), or when the start has failed.
 *
 *   running ──signal──▶ begun ──all closed──▶ exit 0    (another signal, a fault, or a close that hangs: exit 1)
 */
class Shutdown {
  readonly #graceMs: number
  readonly #log: Logger
  readonly #closers: (() => Promise<void>)[] = []
  #begunAt: number | null = null

  constructor(graceMs: number, log: Logger) {
    this.#graceMs = graceMs
    this.#log = log
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.#begin(signal))
  }

  get begun(): boolean {
    return this.#begunAt !== null
  }

  /** Noted before it is open, so that a signal in between waits for it and then closes it. */
  async open<T>(opening: T | Promise<T>, close: (opened: T) => Promise<void>): Promise<T> {
    const opened = Promise.resolve(opening)
    this.#closers.push(() => opened.then(close, () => undefined))
    return opened
  }

  async close(): Promise<void> {
    const results: PromiseSettledResult<void>[] = []
    for (let closer = this.#closers.pop(); closer !== undefined; closer = this.#closers.pop()) {
      results.push(...(await Promise.allSettled([closer()])))
    }
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  #begin(signal: string): void {
    const now = performance.now()
    if (this.#begunAt !== null) {
      if (now - this.#begunAt > SAME_SIGNAL_MS) process.exit(1)
      return
    }
    this.#begunAt = now
    this.#log.info({ signal }, 'stopping')
    setTimeout(() => process.exit(1), this.#graceMs + FORCED_EXIT_MS).unref()
    this.close().then(
      () => {
        this.#log.info('stopped')
        process.exit(0)
      },
      (err: unknown) => {
        this.#log.error({ err }, 'not stopped in order')
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
  const isPlain = error instanceof EmbeddedServerError || error instanceof AddressError
  const told = error instanceof Error && !isPlain ? error.stack : null
  process.stderr.write(`${told ?? (error instanceof Error ? error.message : error)}\n`)
  process.exit(1)
})
