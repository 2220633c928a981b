import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Secret } from '../lib/secret.ts'
import { prepareBinaries } from './binaries.ts'
import { openCluster, superuserName } from './cluster.ts'
import { EmbeddedServerError, errorCode } from './failure.ts'
import { acquireLock, type Lock } from './lock.ts'
import { findData, type Paths, preparePaths, settleData } from './paths.ts'
import { findFreePort, host, type Launch, startPostmaster, stopLeftover, stopProcess } from './postmaster.ts'
import { sendSignal } from './processes.ts'

/** A PostgreSQL of our own, on the loopback address. */
export interface EmbeddedServer {
  readonly host: typeof host
  readonly port: number
  readonly superuser: { user: string; password: Secret }
  /** Fast shutdown; resolves when the server is gone. May be called again. */
  stop(): Promise<void>
}

export interface EmbeddedServerOptions {
  /** The data directory. Lock, password, log and pointer lie beside it: `<dataDir>.lock`, … */
  dataDir: string
  /** Preferred port; when it is taken, or 0 or absent, any free one. */
  port?: number
  /** PostgreSQL settings, given on the server's command line. */
  settings?: Record<string, string>
  log?: (line: string) => void
}

/**
 * Starts PostgreSQL on the data in `dataDir`, which is made if it is not there. Started by root, the server runs as `nobody`
 * (or as the data's owner), and lives below /var/tmp when that account cannot get at `dataDir`.
 *
 * A server left over from a killed process is stopped first; two at once on the same data are refused.
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
 * Deletes everything about an embedded server, stopping one that a killed process left behind.
 * @throws EmbeddedServerError `IN_USE` while the process that started it lives
 */
export async function removeEmbeddedServer(dataDir: string): Promise<void> {
  const paths = await preparePaths(dataDir)
  const lock = await acquireLock(paths.lock)
  try {
    const data = await findData(paths)
    await stopLeftover(data)
    // A refuge was made for this data alone, so it goes as a whole.
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
  const { data, user } = await settleData(paths)
  if (data !== paths.data) log(`PostgreSQL keeps its data in ${data}: its account cannot enter ${paths.data}`)
  const leftover = await stopLeftover(data)
  if (leftover !== null) log(`stopped a PostgreSQL (process ${leftover}) that an earlier run had left behind`)
  const binaries = await prepareBinaries(user)
  const settings: Record<string, string> = { timezone: 'UTC', log_timezone: 'UTC', ...options.settings }
  const durable = settings.fsync !== 'off'
  const password = await openCluster({ data, passwordFile: paths.password, binaries, user, durable })
  const launch: Launch = { data, log: paths.log, binaries, user, password, settings }
  const { child, port } = await launchOnFreePort(launch, options.port ?? 0)
  const running = new RunningServer(child, lock, log)
  return { host, port, superuser: { user: superuserName, password }, stop: () => running.stop() }
}

/** Another process may take the port after we found it free. The last process of a crashed server may need a moment to end. */
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

/** running → stopping → stopped; a crash leads from running to stopped by itself. */
class RunningServer {
  readonly #child: ChildProcess
  readonly #lock: Lock
  #stopped: Promise<void> | null = null
  /** Without it, an exit on an uncaught error would leave the server behind. */
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
    `No permission for the embedded PostgreSQL's files (${dataDir} and those beside it). ` +
    'Were they made by another account, with sudo perhaps?'
  return new EmbeddedServerError('DATA_UNUSABLE', message, { cause: error })
}
