import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/**
 * A shell that keeps its state, like a person's: later blocks see what earlier ones set. The first command that fails ends it.
 */
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

  /** Runs a block and returns its output. Rejects with all output if a command of the block fails. */
  async run(block: string): Promise<string> {
    const mark = `--- end of block ${++this.#blocks} ---\n`
    const before = this.#stdout.length
    // The commands must not read the text after them.
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
