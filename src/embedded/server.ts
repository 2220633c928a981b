import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Secret } from '../lib/secret.ts'
import { prepareBinaries } from './binaries.ts'
import { openCluster, superuserName } from './cluster.ts'
import { EmbeddedServerError, errorCode } from './failure.ts'
import { acquireLock, type Lock } from './lock.ts'
import { chooseData, findData, type Paths, preparePaths } from './paths.ts'
import { findFreePort, host, type Launch, startPostmaster, stopLeftover, stopProcess } from './postmaster.ts'
import { sendSignal } from './processes.ts'

/** A PostgreSQL of our own, on the loopback address. */
export interface EmbeddedServer {
  readonly host: typeof host
  readonly port: number
  readonly superuser: { user: string; password: Secret }
  /** Fast shutdown. Resolves when the server has ended. Repeated calls share one shutdown. */
  stop(): Promise<void>
}

export interface EmbeddedServerOptions {
  /** The data directory. Lock, password, log and pointer are files next to it: `<dataDir>.lock`, … */
  dataDir: string
  /** The preferred port. If it is in use, 0 or absent, any free port is used. */
  port?: number
  /** Settings of PostgreSQL for the server's command line. */
  settings?: Record<string, string>
  log?: (line: string) => void
}

/**
 * Starts PostgreSQL on the data in `dataDir`, which is created if it is missing. If root starts it, the server runs as `nobody` or as the
 * owner of the data. If that account cannot enter `dataDir`, the data is below /var/tmp.
 *
 * Stops the server of a killed process first. Refuses a second server on the same data.
 * @throws EmbeddedServerError
 */
export async function startEmbeddedServer(options: EmbeddedServerOptions): Promise<EmbeddedServer> {
  try {
    const paths = await preparePaths(options.dataDir)
    const lock = await acquireLock(paths.lock)
    try {
      return await startLocked(paths, options, lock)
    } catch (error) {
      await lock.release()
      throw error
    }
  } catch (error) {
    throw explainPermission(error, options.dataDir)
  }
}

/**
 * Deletes all files of an embedded server. Stops it first if a killed process has left it running.
 * @throws EmbeddedServerError `IN_USE` while the process that started it runs
 */
export async function removeEmbeddedServer(dataDir: string): Promise<void> {
  const paths = await preparePaths(dataDir)
  const lock = await acquireLock(paths.lock)
  try {
    const data = await findData(paths)
    await stopLeftover(data)
    // A directory below a fallback directory holds only this data, so it is deleted too.
    await rm(data === paths.data ? data : dirname(data), { recursive: true, force: true, maxRetries: 5 })
    for (const path of [paths.pointer, paths.password, paths.log]) await rm(path, { force: true })
  } finally {
    await lock.release()
  }
}

async function startLocked(
  paths: Paths,
  options: EmbeddedServerOptions,
  lock: Lock,
): Promise<EmbeddedServer> {
  const log = options.log ?? (() => {})
  const { data, user } = await chooseData(paths)
  if (data !== paths.data)
    log(`PostgreSQL stores its data in ${data}, because its account cannot enter ${paths.data}`)
  const leftover = await stopLeftover(data)
  if (leftover !== null)
    log(`stopped a PostgreSQL (process ${leftover}) that an earlier run had left running`)
  const binaries = await prepareBinaries(user)
  const settings: Record<string, string> = { timezone: 'UTC', log_timezone: 'UTC', ...options.settings }
  const durable = settings.fsync !== 'off'
  const password = await openCluster({ data, passwordFile: paths.password, binaries, user, durable })
  const launch: Launch = { data, log: paths.log, binaries, user, password, settings }
  const { child, port } = await launchOnFreePort(launch, options.port ?? 0)
  const running = new RunningServer(child, lock, log)
  return { host, port, superuser: { user: superuserName, password }, stop: () => running.stop() }
}

/** Tries three times: another process may take the free port first, or the last process of a crashed server may need a moment to end. */
async function launchOnFreePort(
  launch: Launch,
  preferred: number,
): Promise<{ child: ChildProcess; port: number }> {
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort(attempt === 1 ? preferred : 0)
    try {
      return { child: await startPostmaster(launch, port), port }
    } catch (error) {
      const mayPass = error instanceof EmbeddedServerError && error.code === 'START_FAILED'
      if (!mayPass || attempt === 3) throw error
    }
  }
}

/** running → stopping → stopped. After a crash: running → stopped. */
class RunningServer {
  readonly #child: ChildProcess
  readonly #lock: Lock
  #stopped: Promise<void> | null = null
  /** Without it the server would still run after this process has ended with an uncaught error. */
  readonly #onExit = () => {
    if (this.#child.pid !== undefined) sendSignal(this.#child.pid, 'SIGINT')
  }

  constructor(child: ChildProcess, lock: Lock, log: (line: string) => void) {
    this.#child = child
    this.#lock = lock
    process.once('exit', this.#onExit)
    child.once('exit', (code, signal) => {
      process.removeListener('exit', this.#onExit)
      if (this.#stopped === null) log(`PostgreSQL ended by itself (${signal ?? `exit code ${code}`})`)
    })
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stopOnce()
    return this.#stopped
  }

  async #stopOnce(): Promise<void> {
    const child = this.#child
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null) {
      child.ref()
      await Promise.all([once(child, 'exit'), stopProcess(child.pid)])
    }
    await this.#lock.release()
  }
}

function explainPermission(error: unknown, dataDir: string): unknown {
  if (!['EACCES', 'EPERM'].includes(errorCode(error) ?? '')) return error
  const message =
    `No permission for the files of the embedded PostgreSQL (${dataDir} and the files next to it). ` +
    'Did another account create them, for example with sudo?'
  return new EmbeddedServerError('DATA_UNUSABLE', message, { cause: error })
}
