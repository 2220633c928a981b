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

/** The files of one embedded server. All except `data` are always in the parent directory of the given data directory. */
export interface Paths {
  readonly data: string
  readonly lock: string
  readonly password: string
  readonly log: string
  /** Names the data directory if the server could not use the given one. */
  readonly pointer: string
}

/** Directories that every account may enter. The first one, if it exists, survives a restart of the machine. */
export function fallbackDirectories(): string[] {
  return process.platform === 'win32' ? [tmpdir()] : [...new Set(['/var/tmp', tmpdir()])]
}

/** Returns the paths of the files and creates the parent directory of `dataDir`. */
export async function preparePaths(dataDir: string): Promise<Paths> {
  const data = resolve(dataDir)
  const asRoot = process.getuid?.() === 0
  const made = await mkdir(dirname(data), { recursive: true })
  // If root starts the server, it runs under another account, which must be able to enter this directory but not to list it.
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
 * Chooses the data directory and the account that runs the server. If that account can use the given directory, the data is there.
 * Otherwise it is in a new directory below a fallback directory, which the pointer file names.
 */
export async function chooseData(paths: Paths): Promise<{ data: string; user: ServerUser | null }> {
  const moved = await readPointer(paths.pointer)
  if (moved !== null) return { data: moved, user: await chooseServerUser(moved) }
  const user = await chooseServerUser(paths.data)
  const isPresent = (await unless(['ENOENT', 'ENOTDIR'], lstat(paths.data))) !== null
  if (isPresent || (await canHoldData(dirname(paths.data), user))) return { data: paths.data, user }
  return { data: await makeFallback(paths.pointer), user }
}

/** The current data directory of `paths`. Creates nothing. */
export async function findData(paths: Paths): Promise<string> {
  return (await readPointer(paths.pointer)) ?? paths.data
}

async function makeFallback(pointer: string): Promise<string> {
  let failure: unknown
  for (const fallback of fallbackDirectories()) {
    try {
      const directory = await mkdtemp(join(fallback, 'freehold-'))
      await chmod(directory, 0o711)
      await writeFile(`${pointer}.draft`, JSON.stringify({ data: join(directory, 'data') }), { mode: 0o600 })
      await rename(`${pointer}.draft`, pointer)
      return join(directory, 'data')
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

/** Accepts only a directory that we own, because another account may have recreated a deleted one. */
async function readPointer(pointer: string): Promise<string | null> {
  const text = await unless(['ENOENT'], readFile(pointer, 'utf8'))
  const data = text === null ? null : parsePointer(text)
  if (data === null || (await unless(['ENOENT', 'ENOTDIR'], lstat(dirname(data)))) === null) return null
  if (await isOurs(dirname(data))) return data
  throw new EmbeddedServerError(
    'DATA_UNUSABLE',
    `${pointer} says that the data is in ${dirname(data)}, which belongs to another account. ` +
      'Start under the account that created it, or delete that file to start over.',
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

/** True for a real directory that belongs to us and that no other account may write. */
export async function isOurs(path: string): Promise<boolean> {
  const info = await unless(['ENOENT', 'ENOTDIR'], lstat(path))
  if (info === null || !info.isDirectory()) return false
  if (process.platform === 'win32') return true
  return info.uid === process.getuid?.() && (info.mode & 0o022) === 0
}

/** Some file systems (network shares, mounts of the host) do not store owner and mode, but PostgreSQL requires them. */
async function canHoldData(directory: string, user: ServerUser | null): Promise<boolean> {
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
