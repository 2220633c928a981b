import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, readlinkSync } from 'node:fs'
import { open, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import type { Secret } from '../lib/secret.ts'
import type { Binaries } from './binaries.ts'
import { superuserName } from './cluster.ts'
import { EmbeddedServerError, unless } from './failure.ts'
import {
  childOptions,
  identifyProcess,
  type ProcessIdentity,
  runCommand,
  sendSignal,
  waitForExit,
} from './processes.ts'
import type { ServerUser } from './server-user.ts'

export const host = '127.0.0.1'

const startTimeoutMs = 60_000
const fastStopTimeoutMs = 10_000
const immediateStopTimeoutMs = 8_000
const keptLogBytes = 256 * 1024

export interface Launch {
  readonly data: string
  readonly log: string
  readonly binaries: Binaries
  readonly user: ServerUser | null
  readonly password: Secret
  readonly settings: Readonly<Record<string, string>>
}

/**
 * Starts `postgres` and waits until the superuser can log in.
 * @throws EmbeddedServerError `START_FAILED` with the end of the server's log
 */
export async function startPostmaster(launch: Launch, port: number): Promise<ChildProcess> {
  const child = await spawnPostgres(launch, port)
  try {
    await waitUntilReady(launch, child, port)
    return child
  } catch (error) {
    if (child.pid !== undefined && !hasEnded(child)) await stopProcess(child.pid)
    throw error
  }
}

/**
 * Fast shutdown: ends all sessions and keeps everything that was committed. After a time limit: immediate shutdown, without a checkpoint.
 * @throws EmbeddedServerError `STOP_FAILED`
 */
export async function stopProcess(pid: number): Promise<void> {
  const identity = identifyProcess(pid)
  if (identity === null) return
  sendSignal(pid, 'SIGINT')
  if (await waitForExit(identity, fastStopTimeoutMs)) return
  sendSignal(pid, 'SIGQUIT')
  if (await waitForExit(identity, immediateStopTimeoutMs)) return
  throw new EmbeddedServerError('STOP_FAILED', `PostgreSQL (process ${pid}) does not stop.`)
}

/**
 * Stops a server whose parent process has ended, and returns its pid. The pid in `postmaster.pid` alone proves nothing, because another
 * process may have it now. Then only the file is removed, because PostgreSQL would not start with it.
 */
export async function stopLeftover(data: string): Promise<number | null> {
  const pid = (await readPidFile(data))?.pid
  const identity = pid === undefined ? null : identifyProcess(pid)
  if (identity === null) return null
  if (await isServerOf(identity, data)) {
    await stopProcess(identity.pid)
    return identity.pid
  }
  await rm(join(data, 'postmaster.pid'), { force: true })
  return null
}

/** The preferred port if it is free, else any free one. */
export async function findFreePort(preferred: number): Promise<number> {
  const found = await unless(['EADDRINUSE', 'EACCES'], tryPort(preferred))
  return found ?? tryPort(0)
}

function tryPort(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => {
      const address = server.address()
      const bound = address !== null && typeof address === 'object' ? address.port : port
      server.close(() => resolve(bound))
    })
  })
}

async function spawnPostgres(launch: Launch, port: number): Promise<ChildProcess> {
  const settings = {
    ...launch.settings,
    listen_addresses: host,
    port: String(port),
    unix_socket_directories: '',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const log = await openLog(launch.log)
  try {
    const child = spawn(launch.binaries.postgres, ['-D', launch.data, ...args], {
      ...childOptions(launch.user),
      // Its own session, so that the terminal sends Ctrl-C only to us. Otherwise the server would stop before our requests have ended.
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
    })
    await once(child, 'spawn')
    child.unref()
    return child
  } catch (cause) {
    throw new EmbeddedServerError('START_FAILED', 'postgres could not be executed.', { cause })
  } finally {
    await log.close()
  }
}

/** Opens the log for appending. Keeps only the end of a long log, in a new file, so that we own it even if another account wrote it. */
async function openLog(path: string) {
  const size = (await unless(['ENOENT'], stat(path)))?.size ?? 0
  if (size > 4 * keptLogBytes) {
    await writeFile(`${path}.draft`, await readTail(path, keptLogBytes), { mode: 0o600 })
    await rename(`${path}.draft`, path)
  }
  return open(path, 'a', 0o600)
}

async function readTail(path: string, bytes: number): Promise<Buffer> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(bytes), 0, bytes, Math.max(0, size - bytes))
    return buffer.subarray(0, bytesRead)
  } finally {
    await file.close()
  }
}

/**
 * Waits until `postmaster.pid` says that our process listens on this port, and then until a login succeeds. An open port alone proves
 * nothing, because it may belong to another server.
 */
async function waitUntilReady(launch: Launch, child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + startTimeoutMs
  while (Date.now() < deadline) {
    if (hasEnded(child)) throw await startFailure(launch, 'ended while starting')
    const file = await readPidFile(launch.data)
    if (file?.pid === child.pid && file?.port === port && file.ready && (await canLogIn(launch, port))) return
    await sleep(15)
  }
  throw await startFailure(launch, `was not ready within ${startTimeoutMs / 1000} s`)
}

async function startFailure(launch: Launch, why: string): Promise<EmbeddedServerError> {
  const tail = (await readTail(launch.log, 2_000)).toString().trim()
  return new EmbeddedServerError('START_FAILED', `PostgreSQL ${why}. The end of ${launch.log}:\n${tail}`)
}

async function canLogIn(launch: Launch, port: number): Promise<boolean> {
  const client = new Client({
    host,
    port,
    user: superuserName,
    password: launch.password.reveal(),
    database: 'postgres',
    ssl: false,
    connectionTimeoutMillis: 5_000,
    query_timeout: 5_000,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('SELECT 1')
    return true
  } catch (cause) {
    // 28P01: a wrong password stays wrong, so waiting does not help.
    if (cause instanceof Error && 'code' in cause && cause.code === '28P01') {
      const message = `The password file of ${launch.data} does not have the password of its server.`
      throw new EmbeddedServerError('DATA_UNUSABLE', message, { cause })
    }
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

interface PidFile {
  pid: number
  port: number
  ready: boolean
}

/** Lines: pid, data directory, start time, port, socket directory, address, shared memory, status. */
async function readPidFile(data: string): Promise<PidFile | null> {
  const text = await unless(['ENOENT', 'ENOTDIR'], readFile(join(data, 'postmaster.pid'), 'utf8'))
  if (text === null) return null
  const lines = text.split('\n').map((line) => line.trim())
  return { pid: Math.abs(Number(lines[0])), port: Number(lines[3]), ready: lines[7] === 'ready' }
}

/** The working directory of a postmaster is its data directory. Only Linux shows it; elsewhere the command line decides. */
async function isServerOf({ pid }: ProcessIdentity, data: string): Promise<boolean> {
  if (process.platform === 'linux') {
    try {
      const program = basename(readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, ''))
      return program === 'postgres' && readlinkSync(`/proc/${pid}/cwd`) === (await realpath(data))
    } catch {
      // Without ptrace rights these links cannot be read, but the command line can.
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
      return basename(words[0] ?? '') === 'postgres' && words.includes(data)
    }
  }
  if (process.platform === 'win32') return false
  const { output } = await runCommand('/bin/ps', ['-o', 'command=', '-p', String(pid)], null)
  return output.includes('postgres') && output.includes(data)
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}
