import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  rename,
  rmdir,
  stat,
  writeFile,
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { EmbeddedServerError, errorCode, unless } from './failure.ts'
import { canEnter, chooseServerUser, type ServerUser } from './server-user.ts'

/** Where everything about one embedded server is kept. All but `data` always lies beside the given data directory. */
export interface Paths {
  readonly data: string
  readonly lock: string
  readonly password: string
  readonly log: string
  /** Says where the data is when it could not be kept in the given place. */
  readonly pointer: string
}

/** Paths that every account may enter and that survive a restart of the machine, where the first one exists. */
export function refuges(): string[] {
  return process.platform === 'win32' ? [tmpdir()] : [...new Set(['/var/tmp', tmpdir()])]
}

/** Names the files beside `dataDir` and makes their directory. */
export async function preparePaths(dataDir: string): Promise<Paths> {
  const data = resolve(dataDir)
  const asRoot = process.getuid?.() === 0
  const made = await mkdir(dirname(data), { recursive: true })
  // Started by root, the server runs under another account, which must pass through here. No other account may list it.
  if (made !== undefined) await chmod(dirname(data), asRoot ? 0o711 : 0o700)
  const beside = (suffix: string) => join(dirname(data), `${basename(data)}.${suffix}`)
  return {
    data,
    lock: beside('lock'),
    password: beside('password'),
    log: beside('log'),
    pointer: beside('location'),
  }
}

/**
 * Decides where the data lies and which account runs the server. The data lies in the given place when that account can
 * use it, else in its own directory in a refuge; the pointer file records which.
 */
export async function settleData(paths: Paths): Promise<{ data: string; user: ServerUser | null }> {
  const moved = await readPointer(paths.pointer)
  if (moved !== null) return { data: moved, user: await chooseServerUser(moved) }
  const user = await chooseServerUser(paths.data)
  const alreadyThere = (await unless(['ENOENT', 'ENOTDIR'], lstat(paths.data))) !== null
  if (alreadyThere || (await canLiveIn(dirname(paths.data), user))) return { data: paths.data, user }
  return { data: await makeRefuge(paths.pointer), user }
}

/** Where the data of `paths` lies now, without making anything. */
export async function findData(paths: Paths): Promise<string> {
  return (await readPointer(paths.pointer)) ?? paths.data
}

async function makeRefuge(pointer: string): Promise<string> {
  let failure: unknown
  for (const refuge of refuges()) {
    try {
      const home = await mkdtemp(join(refuge, 'freehold-'))
      await chmod(home, 0o711)
      await writeFile(`${pointer}.draft`, JSON.stringify({ data: join(home, 'data') }), { mode: 0o600 })
      await rename(`${pointer}.draft`, pointer)
      return join(home, 'data')
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** Another account may have made a deleted refuge again, so only a directory that we own counts. */
async function readPointer(pointer: string): Promise<string | null> {
  const text = await unless(['ENOENT'], readFile(pointer, 'utf8'))
  const data = text === null ? null : parsePointer(text)
  if (data === null || (await unless(['ENOENT', 'ENOTDIR'], lstat(dirname(data)))) === null) return null
  if (await isOurs(dirname(data))) return data
  throw new EmbeddedServerError(
    'DATA_UNUSABLE',
    `${pointer} says that the data is in ${dirname(data)}, which belongs to another account. ` +
      'Start as the account that made it, or delete that file to begin anew.',
  )
}

function parsePointer(text: string): string | null {
  try {
    const { data } = JSON.parse(text)
    return typeof data === 'string' ? data : null
  } catch {
    return null
  }
}

/** Whether `path` is a real directory that belongs to us and that no other account may write in. */
export async function isOurs(path: string): Promise<boolean> {
  const info = await unless(['ENOENT', 'ENOTDIR'], lstat(path))
  if (info === null || !info.isDirectory()) return false
  if (process.platform === 'win32') return true
  return info.uid === process.getuid?.() && (info.mode & 0o022) === 0
}

/** Some file systems (network shares, mounts of the host) do not keep owner and mode, which PostgreSQL insists on. */
async function canLiveIn(directory: string, user: ServerUser | null): Promise<boolean> {
  if (!(await canEnter(directory, user))) return false
  const trial = await mkdtemp(join(directory, 'trial-'))
  try {
    if (user !== null) await chown(trial, user.uid, user.gid)
    const { uid, mode } = await stat(trial)
    return process.platform === 'win32' || ((mode & 0o777) === 0o700 && (user === null || uid === user.uid))
  } catch (error) {
    if (['EPERM', 'EINVAL', 'ENOTSUP'].includes(errorCode(error) ?? '')) return false
    throw error
  } finally {
    await rmdir(trial)
  }
}
