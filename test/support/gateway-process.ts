import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { removeEmbeddedServer } from '../../src/embedded/server.ts'
import { checkout } from './checkout.ts'
import { gatewayProgram } from './gateway-bundle.ts'

/** A run starts many processes. Each reads what an earlier one has compiled; a user who may not write there compiles it again. */
const compiled = join(checkout, 'node_modules', '.cache', 'freehold-compiled')
const quickImports = pathToFileURL(join(checkout, 'test', 'support', 'quick-imports.mjs')).href

/** Makes Node start faster, and changes nothing else. */
export const quickStart = { NODE_COMPILE_CACHE: compiled, NODE_OPTIONS: `--import=${quickImports}` }

export interface ProcessOptions {
  /** The whole environment but `PATH`, `HOME` and what makes Node start faster. A developer's settings must not affect a test. */
  readonly env?: Record<string, string>
  readonly cwd?: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Runs instead of the gateway itself (see `gatewayProgram`), in a process group of its own, as in a terminal. */
  readonly command?: readonly [string, ...string[]]
  /** Without what makes Node start quickly. */
  readonly isPlain?: boolean
}

/** A gateway as its user runs it: a process with an environment, two streams and an exit code. */
export class GatewayProcess {
  readonly child: ChildProcess
  readonly ended: Promise<number | string>
  stdout = ''
  stderr = ''

  constructor({ env = {}, cwd = checkout, user, command, isPlain = false }: ProcessOptions = {}) {
    const [file, ...args] = command ?? [process.execPath, gatewayProgram()]
    const { PATH = '', HOME = '/' } = process.env
    const nodeOptions = `${quickStart.NODE_OPTIONS} ${env.NODE_OPTIONS ?? ''}`
    const quick = isPlain ? env : { ...quickStart, ...env, NODE_OPTIONS: nodeOptions }
    this.child = spawn(file, args, {
      cwd,
      env: { PATH, HOME, ...quick },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: command !== undefined,
      ...user,
    })
    this.child.stdout?.on('data', (chunk) => {
      this.stdout += chunk
    })
    this.child.stderr?.on('data', (chunk) => {
      this.stderr += chunk
    })
    // `close` and not `exit`, because all its output has been read then.
    this.ended = once(this.child, 'close').then(([code, signal]) => code ?? signal)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Waits for a text on either stream. Rejects with all output if the process ends or `timeoutMs` is over. */
  async until(pattern: RegExp, timeoutMs = 120_000): Promise<RegExpExecArray> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const found = pattern.exec(this.stdout) ?? pattern.exec(this.stderr)
      if (found !== null) return found
      const gone = this.child.exitCode !== null || this.child.signalCode !== null
      if (gone || performance.now() > deadline)
        throw new Error(`never said ${pattern}:\n${this.stdout}\n${this.stderr}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }

  /** The address on which it listens, once it does. */
  async url(): Promise<string> {
    const [, port] = await this.until(/"port":(\d+),"host":"[^"]*","msg":"listening"/)
    return `http://127.0.0.1:${port}`
  }

  /** Its log lines. Throws for a line that is not JSON. */
  log(): Record<string, unknown>[] {
    return this.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  }

  /** Sends a signal and returns the exit code, or the name of the signal that ended the process. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal)
    return this.ended
  }
}

/** Deletes a directory in which a gateway was started without settings, and ends the processes that still run there. */
export async function removeDemo(directory: string): Promise<void> {
  await removeEmbeddedServer(join(directory, '.freehold', 'postgres'))
  await rm(directory, { recursive: true, force: true })
}
