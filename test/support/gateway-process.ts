import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { removeEmbeddedServer } from '../../src/embedded/server.ts'

/** What Node is given to run a gateway. */
export const mainFile = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** The root of this checkout. */
export const checkout = fileURLToPath(new URL('../..', import.meta.url))

/** Many processes start in a run. What one has compiled the next one reads; a user who may not write there compiles it again. */
const compiled = join(checkout, 'node_modules', '.cache', 'freehold-compiled')
const moduleKinds = pathToFileURL(join(checkout, 'test', 'support', 'module-kinds.mjs')).href

/** Makes Node start quickly, and changes nothing else about it. */
export const quickStart = { NODE_COMPILE_CACHE: compiled, NODE_OPTIONS: `--import=${moduleKinds}` }

export interface ProcessOptions {
  /** All of the environment but `PATH`, `HOME` and what makes Node start quickly: a developer's settings must not decide a test. */
  readonly env?: Record<string, string>
  readonly cwd?: string
  readonly user?: { readonly uid: number; readonly gid: number }
  /** Instead of the gateway itself; gets a process group of its own, as a terminal gives it. */
  readonly command?: readonly [string, ...string[]]
}

/** A gateway as its user runs it: a process with an environment, two streams and an exit code. */
export class GatewayProcess {
  readonly child: ChildProcess
  readonly ended: Promise<number | string>
  stdout = ''
  stderr = ''

  constructor({ env = {}, cwd = checkout, user, command }: ProcessOptions = {}) {
    const [file, ...args] = command ?? [process.execPath, mainFile]
    const { PATH = '', HOME = '/' } = process.env
    const nodeOptions = `${quickStart.NODE_OPTIONS} ${env.NODE_OPTIONS ?? ''}`
    this.child = spawn(file, args, {
      cwd,
      env: { PATH, HOME, ...quickStart, ...env, NODE_OPTIONS: nodeOptions },
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
    // `close`, not `exit`: by then everything it wrote has been read.
    this.ended = once(this.child, 'close').then(([code, signal]) => code ?? signal)
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  /** Waits for words on either stream. Rejects with all that was said when the process ends or `timeoutMs` is over. */
  async until(pattern: RegExp, timeoutMs = 40_000): Promise<RegExpExecArray> {
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

  /** Where it listens, once it does. */
  async url(): Promise<string> {
    const [, port] = await this.until(/"port":(\d+),"host":"[^"]*","msg":"listening"/)
    return `http://127.0.0.1:${port}`
  }

  /** What it has logged, line by line. Throws for a line that is not JSON. */
  log(): Record<string, unknown>[] {
    return this.stdout
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  }

  /** Sends a signal and gives the exit code, or the signal's name where that ended it. */
  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.child.kill(signal)
    return this.ended
  }
}

/** Deletes a directory in which a gateway was started without settings, and ends what still runs there. */
export async function removeDemo(directory: string): Promise<void> {
  await removeEmbeddedServer(join(directory, '.freehold', 'postgres'))
  await rm(directory, { recursive: true, force: true })
}
