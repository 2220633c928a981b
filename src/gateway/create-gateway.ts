import { Writable } from 'node:stream'
import { type Application, isApplication, type Gateway as PublicGateway } from '../application.ts'
import { readSettings } from '../config.ts'
import { Gateway } from '../gateway.ts'
import { createLogger } from '../logger.ts'
import { gatewayOptions } from './gateway-options.ts'

/** Takes log lines. The loggers of pino and Fastify have this form. */
export interface LogSink {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface GatewayDefinition {
  readonly application: Application
  /** The settings, as in docs/reference/settings.md. Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Gets every line that `LOG_LEVEL` lets through, already without secrets. Default: stdout. */
  readonly logger?: LogSink
}

/**
 * Makes a gateway in this process. It opens nothing before `start()`. It embeds no PostgreSQL, handles no signals and never ends
 * the process.
 * @throws SettingsError with every problem of the settings
 */
export function createGateway({ application, env, logger }: GatewayDefinition): PublicGateway {
  if (!isApplication(application))
    throw new TypeError(
      'application must be the result of defineApplication from this copy of the package freehold',
    )
  const settings = readSettings(env, { mayEmbed: false })
  const log = createLogger(settings.logLevel, logger === undefined ? undefined : sinkInto(logger))
  return new Gateway(gatewayOptions(settings, { application, embedded: null, log }))
}

const LEVELS = {
  trace: 'debug',
  debug: 'debug',
  info: 'info',
  warn: 'warn',
  error: 'error',
  fatal: 'error',
} as const

/** Our own logger makes the lines, so that it removes secrets before another logger gets the lines. */
function sinkInto(logger: LogSink): Writable {
  return new Writable({
    decodeStrings: false,
    write(line: string, _encoding, done) {
      const { level, time: _time, msg = '', ...fields } = JSON.parse(line) as LogLine
      logger[LEVELS[level]](fields, msg)
      done()
    },
  })
}

interface LogLine {
  readonly level: keyof typeof LEVELS
  readonly time: string
  readonly msg?: string
  readonly [field: string]: unknown
}
