import { type ChildProcess, type ForkOptions, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { findFreePort } from '../src/embedded/postmaster.ts'

const START_TIMEOUT_MS = 20_000
const STOP_TIMEOUT_MS = 5_000

/** A service in a process of its own. */
export interface ServerProcess {
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** Starts the gateway as `npm start` does, and waits until it is ready. */
export async function startGatewayProcess(environment: Record<string, string>): Promise<ServerProcess> {
  const port = await findFreePort(0)
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const child = spawn(process.execPath, [main], {
    env: { PATH: process.env.PATH, ...environment, PORT: String(port) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  // The log goes through a pipe that is read to its end, like a log collector in production.
  child.stdout.resume()
  await within(readiness(`http://127.0.0.1:${port}/readyz`), child)
  return { pid: child.pid ?? 0, port, stop: () => stop(child) }
}

async function readiness(url: string): Promise<void> {
  for (;;) {
    const answer = await fetch(url).catch(() => null)
    if (answer?.ok === true) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Starts a script of this folder that sends `{ port }` once it listens. */
export async function startScript(name: string, environment: Record<string, string>): Promise<ServerProcess> {
  const child = forkScript(name, {
    env: { PATH: process.env.PATH, ...environment },
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  child.stdout?.resume()
  const port = once(child, 'message').then(([message]) => (message as { port: number }).port)
  return { pid: child.pid ?? 0, port: await within(port, child), stop: () => stop(child) }
}

/** Forks a script of this folder. */
export function forkScript(name: string, options: ForkOptions = {}): ChildProcess {
  return fork(new URL(name, import.meta.url), options)
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS)
  child.kill('SIGTERM')
  await once(child, 'exit')
  clearTimeout(timer)
}

async function within<T>(promise: Promise<T>, child: ChildProcess): Promise<T> {
  const aborted = new AbortController()
  const exited = once(child, 'exit', { signal: aborted.signal }).then(() => {
    throw new Error('the process ended before it listened')
  })
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(reject, START_TIMEOUT_MS, new Error('the process did not listen in time'))
    aborted.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  exited.catch(() => undefined)
  try {
    return await Promise.race([promise, exited, late])
  } finally {
    aborted.abort()
  }
}

/** CPU time that a process has used so far, in µs; null without /proc. */
export function cpuOf(pid: number): number | null {
  try {
    // Nanoseconds a thread; `stat` counts in hundredths of a second, too coarse for a short round.
    const tasks = readdirSync(`/proc/${pid}/task`)
    return tasks.reduce((sum, task) => sum + scheduledNs(`/proc/${pid}/task/${task}/schedstat`), 0) / 1_000
  } catch {
    return null
  }
}

/** A thread may end between listing and reading. */
function scheduledNs(path: string): number {
  try {
    return Number(readFileSync(path, 'utf8').split(' ')[0])
  } catch {
    return 0
  }
}

/** CPU time, in µs, of all processes whose parent is one of `parents`: a PostgreSQL's backends. */
export function cpuOfChildren(parents: readonly number[]): number | null {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name) && parents.includes(parentOf(name)))
      .reduce((sum, name) => sum + (cpuOf(Number(name)) ?? 0), 0)
  } catch {
    return null
  }
}

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return 0
  }
}
