import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** A shell that stays, as a person's does: what one block sets, the next one knows. The first command that fails ends it. */
export class Shell {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown>
  #stdout = ''
  #stderr = ''
  #blocks = 0

  constructor(options: { cwd: string; env: Record<string, string> }) {
    this.#child = spawn('sh', ['-eu'], { ...options, stdio: 'pipe' })
    this.#child.stdout?.on('data', (chunk) => {
      this.#stdout += chunk
    })
    this.#child.stderr?.on('data', (chunk) => {
      this.#stderr += chunk
    })
    this.#ended = once(this.#child, 'close')
  }

  /** Runs a block and gives what it printed. Rejects, with all that it said, where a command of it fails. */
  async run(block: string): Promise<string> {
    const mark = `--- end of block ${++this.#blocks} ---\n`
    const before = this.#stdout.length
    // The commands read nothing of what follows them.
    this.#child.stdin?.write(`{ ${block}\n} </dev/null\nprintf '%s\\n' '${mark.trim()}'\n`)
    while (!this.#stdout.endsWith(mark)) {
      if (this.#child.exitCode !== null)
        throw new Error(`${block}\nfailed:\n${this.#stdout.slice(before)}\n${this.#stderr}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return this.#stdout.slice(before, -mark.length)
  }

  async end(): Promise<void> {
    this.#child.stdin?.end()
    await this.#ended
  }
}
