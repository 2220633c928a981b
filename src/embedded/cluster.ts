import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  writeFile,
} from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { Secret } from '../lib/secret.ts'
import type { Binaries } from './binaries.ts'
import { EmbeddedServerError, unless } from './failure.ts'
import { runCommand } from './processes.ts'
import { canEnter, type ServerUser } from './server-user.ts'

export const superuserName = 'postgres'

export interface Cluster {
  readonly data: string
  readonly passwordFile: string
  readonly binaries: Binaries
  readonly user: ServerUser | null
  /** False: initdb does without fsync, for data that is deleted after use. */
  readonly durable: boolean
}

/**
 * Finds the cluster's data or creates it, and returns the superuser's password.
 * @throws EmbeddedServerError `DATA_UNUSABLE`, `INIT_FAILED`
 */
export async function openCluster(cluster: Cluster): Promise<Secret> {
  await removeUnfinished(cluster.data)
  if ((await inspectData(cluster.data)) === 'complete') {
    await assertUsable(cluster)
    return readPassword(cluster)
  }
  await rm(cluster.data, { recursive: true, force: true })
  const password = await ensurePassword(cluster.passwordFile)
  await makeCluster(cluster, password)
  return password
}

/** Deletes the unfinished directories of interrupted starts. An initdb that still runs in one then fails. */
async function removeUnfinished(data: string): Promise<void> {
  const prefix = `${basename(data)}.init-`
  for (const name of await readdir(dirname(data))) {
    if (!name.startsWith(prefix)) continue
    await rm(join(dirname(data), name), { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

const clusterEntry =
  /^(base|global|pg_[a-z_]+|PG_VERSION|(postgresql|pg_hba|pg_ident)[a-z.]*\.conf|postmaster\.(pid|opts))$/

/**
 * We never leave an unfinished cluster under the final name, but an initdb that a user started and killed may do so. Only a directory
 * whose entries all come from PostgreSQL is `unfinished` and may be deleted. Anything else may be the user's data.
 */
async function inspectData(data: string): Promise<'absent' | 'unfinished' | 'complete'> {
  const info = await unless(['ENOENT'], lstat(data))
  if (info === null) return 'absent'
  const names = info.isDirectory() ? await readdir(data) : ['a file']
  const control = await unless(['ENOENT', 'ENOTDIR'], lstat(join(data, 'global', 'pg_control')))
  if (names.includes('PG_VERSION') && control !== null) return 'complete'
  if (names.every((name) => clusterEntry.test(name))) return 'unfinished'
  throw unusable(data, 'is neither empty nor the data of a PostgreSQL server')
}

async function assertUsable({ data, binaries, user }: Cluster): Promise<void> {
  const version = (await readFile(join(data, 'PG_VERSION'), 'utf8')).trim()
  if (version !== String(binaries.majorVersion)) {
    throw unusable(
      data,
      `was created by PostgreSQL ${version}, but the installed version is ${binaries.majorVersion}`,
    )
  }
  if (user !== null && !(await canEnter(dirname(data), user))) {
    throw unusable(data, `is in a directory that its owner (uid ${user.uid}) may not enter`)
  }
}

async function makeCluster(cluster: Cluster, password: Secret): Promise<void> {
  const { data, user } = cluster
  const directory = await mkdtemp(`${data}.init-`)
  try {
    const passwordFile = join(directory, 'password')
    const draft = join(directory, 'data')
    await writeFile(passwordFile, `${password.reveal()}\n`, { mode: 0o600 })
    if (user !== null)
      await Promise.all([directory, passwordFile].map((path) => chown(path, user.uid, user.gid)))
    await runInitdb(cluster, draft, passwordFile)
    await rename(draft, data)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

async function runInitdb(
  { binaries, user, durable }: Cluster,
  draft: string,
  passwordFile: string,
): Promise<void> {
  let output = ''
  for (const locale of ['C.UTF-8', 'C']) {
    const args = ['-D', draft, '-U', superuserName, '-A', 'scram-sha-256', '--pwfile', passwordFile]
    args.push('-E', 'UTF8', `--locale=${locale}`, '--no-instructions', ...(durable ? [] : ['--no-sync']))
    const result = await runCommand(binaries.initdb, args, user)
    if (result.exitCode === 0) return
    output = result.output
    await rm(draft, { recursive: true, force: true })
  }
  throw new EmbeddedServerError('INIT_FAILED', `initdb failed:\n${output.trim()}`)
}

async function readPassword({ data, passwordFile }: Cluster): Promise<Secret> {
  const text = await unless(['ENOENT'], readFile(passwordFile, 'utf8'))
  if (text === null) throw unusable(data, `has lost its password file (${passwordFile})`)
  return new Secret(text.trim())
}

/** Writes the password before the data exists, so that there is never data without its password. */
async function ensurePassword(path: string): Promise<Secret> {
  const present = await unless(['ENOENT'], readFile(path, 'utf8'))
  if (present !== null && present.trim() !== '') {
    await chmod(path, 0o600)
    return new Secret(present.trim())
  }
  const password = randomBytes(24).toString('base64url')
  await mkdir(dirname(path), { recursive: true })
  await writeFile(`${path}.draft`, `${password}\n`, { mode: 0o600 })
  await rename(`${path}.draft`, path)
  return new Secret(password)
}

function unusable(data: string, why: string): EmbeddedServerError {
  return new EmbeddedServerError(
    'DATA_UNUSABLE',
    `${data} ${why}. Move it to another directory to start over, or set CATALOG_DATABASE_URL and ` +
      'SHARED_DATABASE_URL to your own server.',
  )
}
