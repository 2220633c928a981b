import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  access,
  chmod,
  chown,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  writeFile,
} from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { prepareBinaries } from '../../src/embedded/binaries.ts'
import { acquireLock } from '../../src/embedded/lock.ts'
import { identifyProcess, runCommand } from '../../src/embedded/processes.ts'
import { type EmbeddedServer, removeEmbeddedServer, startEmbeddedServer } from '../../src/embedded/server.ts'
import { makeThrowawayDirectory, removeThrowaway } from '../../src/testing/throwaway.ts'
import { query } from '../support/database.ts'
import { superuserUrlOf } from '../support/postgres.ts'

const isRoot = process.getuid?.() === 0
const isLinux = process.platform === 'linux'
const nobodyUser = { uid: 65534, gid: 65534 }
const settings = { fsync: 'off' }
const parentScript = fileURLToPath(new URL('../support/embedded-parent.ts', import.meta.url))

let directory: string
let dataDir: string
let running: EmbeddedServer[] = []

beforeEach(async () => {
  directory = await makeThrowawayDirectory()
  dataDir = join(directory, 'postgres')
})

afterEach(async () => {
  for (const server of running) await server.stop()
  running = []
  await removeThrowaway(directory)
})

async function start(options: { port?: number; dataDir?: string; log?: (line: string) => void } = {}) {
  const server = await startEmbeddedServer({ dataDir, settings, ...options })
  running.push(server)
  return server
}

async function write(server: EmbeddedServer): Promise<void> {
  await query(superuserUrlOf(server), "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
}

async function read(server: EmbeddedServer): Promise<unknown> {
  return query(superuserUrlOf(server), 'SELECT word FROM kept')
}

const written = [{ word: 'still here' }]

describe('an embedded server', () => {
  it('finds its data and password after a stop, and uses another port when its own is taken', async () => {
    const first = await start()
    await write(first)
    await first.stop()
    await expect(read(first)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const squatter = await listen(first.port)
    const second = await start({ port: first.port })
    expect(second.port).not.toBe(first.port)
    expect(second.superuser.password.reveal()).toBe(first.superuser.password.reveal())
    expect(await read(second)).toEqual(written)
    await second.stop()
    squatter.close()
    expect((await start({ port: first.port })).port).toBe(first.port)
  })

  it('listens on the loopback address only, asks for the password and has UTF-8', async () => {
    const server = await start()
    const url = superuserUrlOf(server)
    const [shown] = await query(
      url,
      `SELECT current_setting('listen_addresses') AS addresses, current_setting('unix_socket_directories') AS sockets,
        current_setting('server_encoding') AS encoding, current_setting('password_encryption') AS encryption`,
    )
    expect(shown).toEqual({
      addresses: '127.0.0.1',
      sockets: '',
      encoding: 'UTF8',
      encryption: 'scram-sha-256',
    })
    const wrong = url.replace(server.superuser.password.reveal(), 'wrong')
    await expect(query(wrong, 'SELECT 1')).rejects.toMatchObject({ code: '28P01' })
    expect((await stat(`${dataDir}.password`)).mode & 0o777).toBe(0o600)
    expect(await readFile(`${dataDir}.log`, 'utf8')).toContain('ready to accept connections')
    expect(JSON.stringify(server)).not.toContain(server.superuser.password.reveal())
  })

  it('takes over from a parent that was killed', async () => {
    const parent = await startParent(dataDir)
    await query(parent.url, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
    parent.child.kill('SIGKILL')
    await once(parent.child, 'exit')
    // The server keeps running when its parent process dies.
    expect(await query(parent.url, 'SELECT word FROM kept')).toEqual(written)
    const lines: string[] = []
    const server = await start({ log: (line) => lines.push(line) })
    expect(await read(server)).toEqual(written)
    expect(lines.join()).toMatch(/stopped a PostgreSQL \(process \d+\) that an earlier run had left running/)
    if (server.port !== parent.port) await expect(query(parent.url, 'SELECT 1')).rejects.toThrow()
  })

  it('comes up after the server itself was killed', async () => {
    const server = await start()
    await write(server)
    process.kill(Number.parseInt(await readFile(join(dataDir, 'postmaster.pid'), 'utf8'), 10), 'SIGKILL')
    await server.stop()
    expect(await read(await start())).toEqual(written)
  })

  it('refuses a second start while the first process lives, in that process and in another', async () => {
    const parent = await startParent(dataDir)
    await expect(start()).rejects.toMatchObject({
      code: 'IN_USE',
      message: expect.stringContaining(String(parent.child.pid)),
    })
    expect(await query(parent.url, 'SELECT 1 AS one')).toEqual([{ one: 1 }])
    parent.child.kill('SIGTERM')
    await once(parent.child, 'exit')
    const starts = await Promise.allSettled([start(), start()])
    expect(starts.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    await expect(start()).rejects.toMatchObject({ code: 'IN_USE' })
    await expect(removeEmbeddedServer(dataDir)).rejects.toMatchObject({ code: 'IN_USE' })
  })

  it('creates incomplete data again and removes what an interrupted start left', async () => {
    await mkdir(join(dataDir, 'pg_wal'), { recursive: true })
    await mkdir(join(dataDir, 'global'))
    await writeFile(join(dataDir, 'PG_VERSION'), '18\n')
    await mkdir(`${dataDir}.init-abcdef/data/base`, { recursive: true })
    await writeFile(
      `${dataDir}.lock`,
      JSON.stringify({ pid: 2 ** 22 + 1, birth: null, nonce: '0'.repeat(16) }),
    )
    const server = await start()
    await write(server)
    expect(await read(server)).toEqual(written)
    const left = (await readdir(directory)).sort()
    expect(left).toEqual(['postgres', 'postgres.lock', 'postgres.log', 'postgres.password'])
  })

  it('starts well after it was killed while it created its data', async () => {
    const parent = spawn(process.execPath, [parentScript, dataDir], { stdio: 'ignore' })
    while (!(await readdir(directory)).some((name) => name.includes('.init-'))) await wait(5)
    parent.kill('SIGKILL')
    await once(parent, 'exit')
    const server = await start()
    await write(server)
    expect(await read(server)).toEqual(written)
  })

  it('does not delete a directory that is not PostgreSQL data', async () => {
    await mkdir(dataDir)
    await writeFile(join(dataDir, 'thesis.txt'), 'years of work')
    await expect(start()).rejects.toMatchObject({ code: 'DATA_UNUSABLE' })
    expect(await readFile(join(dataDir, 'thesis.txt'), 'utf8')).toBe('years of work')
  })

  it('does not kill another program whose process id is in postmaster.pid', async () => {
    const first = await start()
    await first.stop()
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
    onTestFinished(() => void stranger.kill('SIGKILL'))
    await writeFile(join(dataDir, 'postmaster.pid'), `${stranger.pid}\n${dataDir}\n1\n${first.port}\n`)
    await start()
    expect(identifyProcess(stranger.pid ?? 0)).not.toBeNull()
  })

  it('says why PostgreSQL does not start', async () => {
    const failing = startEmbeddedServer({ dataDir, settings: { ...settings, shared_buffers: 'plenty' } })
    await expect(failing).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringContaining('shared_buffers'),
    })
  })
})

describe('the lock', () => {
  it('is taken by one of many starts when a stale lock exists', async () => {
    const path = join(directory, 'lock')
    await writeFile(path, JSON.stringify({ pid: 2 ** 22 + 1, birth: null, nonce: '1'.repeat(16) }))
    const takers = await Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(path)))
    expect(takers.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    expect(await readdir(directory)).toEqual(['lock'])
  })

  it.runIf(isLinux)(
    'recognises a stale lock by the start time of its process, not by the process id alone',
    async () => {
      const path = join(directory, 'lock')
      const another = { pid: process.pid, birth: 'another boot/1', nonce: '2'.repeat(16) }
      await writeFile(path, JSON.stringify(another))
      await (await acquireLock(path)).release()
      await expect(access(path)).rejects.toThrow()
    },
  )

  it('is taken when its file is incomplete', async () => {
    const path = join(directory, 'lock')
    await writeFile(path, '{"pid": 1')
    const lock = await acquireLock(path)
    await expect(acquireLock(path)).rejects.toMatchObject({ code: 'IN_USE' })
    await lock.release()
  })
})

describe.runIf(isRoot && isLinux)('as root', () => {
  it('runs as the account "nobody", and under /var/tmp when that account cannot enter the directory', async () => {
    const server = await start()
    const pid = Number.parseInt(await readFile(join(dataDir, 'postmaster.pid'), 'utf8'), 10)
    expect((await stat(`/proc/${pid}`)).uid).toBe(65534)
    await server.stop()

    const closed = join(directory, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const hidden = join(closed, '.freehold', 'postgres')
    const first = await start({ dataDir: hidden })
    await write(first)
    await first.stop()
    const { data } = JSON.parse(await readFile(`${hidden}.location`, 'utf8'))
    expect(data).not.toContain(directory)
    const refuge = await stat(dirname(data))
    expect([refuge.uid, refuge.mode & 0o777]).toEqual([0, 0o711])
    const second = await start({ dataDir: hidden })
    expect(await read(second)).toEqual(written)
    await second.stop()

    await chown(dirname(data), nobodyUser.uid, nobodyUser.gid)
    await expect(start({ dataDir: hidden })).rejects.toMatchObject({ code: 'DATA_UNUSABLE' })
    await chown(dirname(data), 0, 0)
    await removeEmbeddedServer(hidden)
    await expect(access(dirname(data))).rejects.toThrow()
  })

  it('copies binaries that the account "nobody" cannot reach, and repairs missing links and the copy', async () => {
    const closed = join(directory, 'closed')
    await mkdir(closed, { mode: 0o700 })
    const { native: original } = await prepareBinaries(null)
    const native = join(closed, 'native')
    await cp(original, native, { recursive: true, verbatimSymlinks: true })
    await rm(join(native, 'lib', 'libpq.so.5'))
    const copy = await prepareBinaries(nobodyUser, native)
    expect(copy.native).not.toContain(directory)
    onTestFinished(() => rm(dirname(copy.native), { recursive: true, force: true }))
    expect(await access(join(native, 'lib', 'libpq.so.5'))).toBeUndefined()
    expect((await runCommand(copy.initdb, ['--version'], nobodyUser)).exitCode).toBe(0)
    await rm(join(copy.native, 'share', 'postgresql', 'postgres.bki'))
    expect((await prepareBinaries(nobodyUser, native)).native).toBe(copy.native)
    await access(join(copy.native, 'share', 'postgresql', 'postgres.bki'))

    // A directory of that name that belongs to another account is not used, even if its content is right.
    await chown(dirname(copy.native), nobodyUser.uid, nobodyUser.gid)
    const other = await prepareBinaries(nobodyUser, native)
    onTestFinished(() => rm(dirname(other.native), { recursive: true, force: true }))
    expect(other.native).not.toBe(copy.native)
  })

  it('serves an ordinary user, and root can then use the data of that user', async ({ skip }) => {
    const home = await mkdtemp(join(tmpdir(), 'freehold-user-'))
    onTestFinished(() => rm(home, { recursive: true, force: true }))
    await chown(home, nobodyUser.uid, nobodyUser.gid)
    // Node or the checkout may be in a directory that only root can enter.
    const readable = await runCommand(process.execPath, ['--check', parentScript], nobodyUser).catch(
      () => null,
    )
    if (readable?.exitCode !== 0) return skip('an ordinary user cannot read this checkout')
    const place = join(home, '.freehold', 'postgres')
    const parent = await startParent(place, nobodyUser)
    await query(parent.url, "CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
    expect((await stat(place)).uid).toBe(65534)
    parent.child.kill('SIGTERM')
    await once(parent.child, 'exit')
    await chmod(home, 0o700)
    const server = await start({ dataDir: place })
    expect(await read(server)).toEqual(written)
    await server.stop()
    await removeEmbeddedServer(place)
  })
})

interface Parent {
  child: ChildProcess
  port: number
  url: string
}

async function startParent(place: string, user?: { uid: number; gid: number }): Promise<Parent> {
  const child = spawn(process.execPath, [parentScript, place], {
    stdio: ['ignore', 'pipe', 'inherit'],
    ...user,
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  for await (const line of createInterface({ input: child.stdout })) return { child, ...JSON.parse(line) }
  throw new Error('The parent ended without a word.')
}

async function listen(port: number): Promise<Server> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
