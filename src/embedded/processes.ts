import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { errorCode } from './failure.ts'
import type { ServerUser } from './server-user.ts'

/** A process and its start time, which distinguishes it from a later process with the same pid. `birth` is null if it is unknown. */
export interface ProcessIdentity {
  pid: number
  birth: string | null
}

/** The process that now runs under `pid`, or null if there is none. A zombie does not count. */
export function identifyProcess(pid: number): ProcessIdentity | null {
  if (!Number.isSafeInteger(pid) || pid <= 0 || !answersSignals(pid)) return null
  if (process.platform === 'linux') return identifyOnLinux(pid)
  if (process.platform === 'win32') return { pid, birth: null }
  return identifyByPs(pid)
}

/** True if the recorded process still runs. If its start time is unknown, any process with the same pid counts. */
export function isStillRunning(recorded: ProcessIdentity): boolean {
  const current = identifyProcess(recorded.pid)
  if (current === null) return false
  return current.birth === null || recorded.birth === null || current.birth === recorded.birth
}

/** Waits until the process has ended. Returns false if it still runs after `timeoutMs`. */
export async function waitForExit(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = Date.now() + timeoutMs
  while (isStillRunning(identity)) {
    if (Date.now() > deadline) return false
    await sleep(20)
  }
  return true
}

/** Sends a signal. Does nothing if the process has already ended. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if (errorCode(error) !== 'ESRCH') throw error
  }
}

/** Runs a command to its end. Rejects only if the command cannot be started (no such file, no permission). */
export function runCommand(
  file: string,
  args: readonly string[],
  user: ServerUser | null,
): Promise<{ exitCode: number | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, spawnOptions(user))
    let output = ''
    const collect = (chunk: Buffer) => {
      output = (output + chunk.toString()).slice(-20_000)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    child.on('error', reject)
    child.on('close', (exitCode) => resolve({ exitCode, output }))
  })
}

function spawnOptions(user: ServerUser | null) {
  return {
    ...childOptions(user),
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'],
  }
}

/**
 * Directory, environment and account of every child process. It does not inherit our environment, because PG* and LC_* variables would
 * change what initdb and postgres do.
 */
export function childOptions(user: ServerUser | null) {
  return {
    cwd: process.platform === 'win32' ? undefined : '/',
    env: { PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
    // spawn needs a uid above 2^31 (such as -2 on macOS) as a signed number.
    ...(user === null ? {} : { uid: user.uid | 0, gid: user.gid | 0 }),
  }
}

function answersSignals(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return errorCode(error) === 'EPERM'
  }
}

function identifyOnLinux(pid: number): ProcessIdentity | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The command may contain spaces and parentheses, so count the fields after the last parenthesis.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (fields[0] === 'Z' || fields[0] === 'X') return null
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return { pid, birth: `${boot}/${fields[19]}` }
  } catch {
    // The process has just ended, or the system hides it from us (hidepid).
    return answersSignals(pid) ? { pid, birth: null } : null
  }
}

function identifyByPs(pid: number): ProcessIdentity | null {
  try {
    const line = execFileSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim()
    const [state = '', ...birth] = line.split(/\s+/)
    return state.startsWith('Z') ? null : { pid, birth: birth.join(' ') }
  } catch {
    return answersSignals(pid) ? { pid, birth: null } : null
  }
}
