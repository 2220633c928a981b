import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { superuserUrl } from './database.ts'

export interface PoolerBinary {
  readonly path: string
  readonly version: string
  /** From 1.21 on: statements keep their names in transaction mode. */
  readonly keepsStatements: boolean
}

export interface PoolerOptions {
  readonly mode: 'session' | 'transaction' | 'statement'
  /** URLs without the pooler. Their roles may log in to the pooler. */
  readonly urls: readonly string[]
  readonly poolSize?: number
  /** More lines of pgbouncer.ini. */
  readonly settings?: Readonly<Record<string, string | number>>
}

const NOBODY_UID = 65534
const ATTEMPTS = 5
const UP_WITHIN_MS = 5_000

/** The PgBouncers of this machine: `TEST_PGBOUNCER` (paths, comma-separated), then the one of Debian. One for each version. */
export function findPoolers(): PoolerBinary[] {
  const given = (process.env.TEST_PGBOUNCER ?? '').split(',').filter((path) => path !== '')
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin']
  const found = [...given, ...folders.map((folder) => join(folder, 'pgbouncer'))].flatMap(examine)
  return [...new Map(found.map((binary) => [binary.version, binary])).values()]
}

function examine(path: string): PoolerBinary[] {
  try {
    accessSync(path, constants.X_OK)
    const said = execFileSync(path, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
    const [, version = '', major = '', minor = ''] = /PgBouncer ((\d+)\.(\d+)\S*)/i.exec(said) ?? []
    if (version === '') return []
    return [{ path, version, keepsStatements: Number(major) > 1 || Number(minor) >= 21 }]
  } catch {
    return []
  }
}

/** A PgBouncer in front of the shared test server. */
export class Pooler {
  readonly #child: ChildProcess
  readonly #directory: string
  readonly #port: number
  readonly #said: () => string

  private constructor(child: ChildProcess, directory: string, port: number, said: () => string) {
    this.#child = child
    this.#directory = directory
    this.#port = port
    this.#said = said
  }

  static async start(binary: PoolerBinary, options: PoolerOptions): Promise<Pooler> {
    const directory = await mkdtemp(join(tmpdir(), 'freehold-pgbouncer-'))
    // PgBouncer refuses to run as root.
    const user = process.getuid?.() === 0 ? { uid: NOBODY_UID, gid: NOBODY_UID } : {}
    await chmod(directory, 0o755)
    const users = join(directory, 'users.txt')
    await writeFile(users, options.urls.map(userLine).join('\n'))
    for (let attempt = 1; ; attempt += 1) {
      // Below the range that the system uses for outgoing connections.
      const port = randomInt(20_000, 32_000)
      const ini = join(directory, `${port}.ini`)
      await writeFile(ini, iniOf({ port, users, options }))
      const child = spawn(binary.path, [ini], { stdio: ['ignore', 'ignore', 'pipe'], ...user })
      let said = ''
      child.stderr?.on('data', (chunk) => {
        said += chunk
      })
      const pooler = new Pooler(child, directory, port, () => said)
      if (await pooler.#isUp()) return pooler
      await pooler.#kill()
      if (attempt === ATTEMPTS) throw new Error(`PgBouncer ${binary.version} did not start:\n${said}`)
    }
  }

  /** The URL through the pooler. */
  through(url: string): string {
    const through = new URL(url)
    through.hostname = '127.0.0.1'
    through.port = String(this.#port)
    through.searchParams.set('sslmode', 'disable')
    return through.href
  }

  /** Its log. */
  log(): string {
    return this.#said()
  }

  async stop(): Promise<void> {
    await this.#kill()
    await rm(this.#directory, { recursive: true, force: true })
  }

  async #isUp(): Promise<boolean> {
    const deadline = performance.now() + UP_WITHIN_MS
    while (performance.now() < deadline && this.#child.exitCode === null) {
      if (/process up/.test(this.#said())) return true
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    return false
  }

  async #kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

function userLine(url: string): string {
  const { username, password } = new URL(url)
  return `"${decodeURIComponent(username)}" "${decodeURIComponent(password)}"`
}

function iniOf({ port, users, options }: { port: number; users: string; options: PoolerOptions }): string {
  const server = new URL(superuserUrl())
  const settings = {
    ...{ listen_addr: '127.0.0.1', listen_port: port, unix_socket_dir: '' },
    ...{ auth_type: 'scram-sha-256', auth_file: users },
    ...{ pool_mode: options.mode, default_pool_size: options.poolSize ?? 5, max_client_conn: 200 },
    ...options.settings,
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`)
  const target = `* = host=${server.hostname} port=${server.port || 5432}`
  return ['[databases]', target, '[pgbouncer]', ...lines, ''].join('\n')
}
