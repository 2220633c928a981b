import { access, chmod, mkdtemp, readdir, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isOurs } from '../embedded/paths.ts'
import { identifyProcess } from '../embedded/processes.ts'
import { removeEmbeddedServer } from '../embedded/server.ts'

/** Settings for a server whose data are not kept. */
export const throwawaySettings: Record<string, string> = {
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  autovacuum_naptime: '60s',
}

const prefix = 'freehold-test-'
const neededBytes = 1024 ** 3

/** Creates a directory in memory if there is enough (a container's /dev/shm has 64 MB by default), otherwise on disk. */
export async function makeThrowawayDirectory(): Promise<string> {
  const directory = await mkdtemp(join(await findBase(), `${prefix}${process.pid}-`))
  // If root starts the server, it runs under another account, which needs access to this directory.
  await chmod(directory, 0o711)
  return directory
}

/** Ends the servers and deletes the directories of test runs that were killed. */
export async function sweepThrowaways(): Promise<void> {
  const base = await findBase()
  for (const name of await readdir(base)) {
    const pid = Number(/^freehold-test-(\d+)-/.exec(name)?.[1])
    const directory = join(base, name)
    if (Number.isNaN(pid) || identifyProcess(pid) !== null || !(await isOurs(directory))) continue
    await removeThrowaway(directory).catch(() => {})
  }
}

/** Ends the server whose data are in `postgres` of this directory, and deletes the directory. */
export async function removeThrowaway(directory: string): Promise<void> {
  await removeEmbeddedServer(join(directory, 'postgres'))
  await rm(directory, { recursive: true, force: true })
}

async function findBase(): Promise<string> {
  try {
    await access('/dev/shm', 2)
    const { bavail, bsize } = await statfs('/dev/shm')
    return bavail * bsize > neededBytes ? '/dev/shm' : tmpdir()
  } catch {
    return tmpdir()
  }
}
