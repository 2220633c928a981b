import { type ChildProcess, type ForkOptions, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
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
    await sleep(50)
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
