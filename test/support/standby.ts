import { randomInt } from 'node:crypto'
import { chmod, chown, copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Client } from 'pg'
import { startEmbeddedServer } from '../../src/embedded/server.ts'
import { makeThrowawayDirectory, removeThrowaway, throwawaySettings } from '../../src/testing/throwaway.ts'
import { query } from './database.ts'
import { superuserUrlOf } from './postgres.ts'
import type { OwnServer } from './second-server.ts'
import { withClient } from './tenant-database.ts'

/** A streaming standby of a primary: the same databases and roles, read-only until it is promoted. */
export interface Standby {
  readonly host: string
  readonly port: number
  readonly superuserUrl: string
  /** Resolves when everything that the primary has committed so far can be read here. */
  catchUp(): Promise<void>
  /** From here on nothing of the primary arrives, so a promotion loses what the primary commits now. */
  cutOff(): Promise<void>
  /** Makes it a primary. Resolves when it accepts writes. */
  promote(): Promise<void>
  /** Stops it for good and deletes its data. */
  dispose(): Promise<void>
}

const TIME_LIMIT_MS = 30_000
/** The content of these belongs to the running server. A copy begins with them empty. */
const LEFT_OUT =
  /^(postmaster\.(pid|opts)|(pg_wal|pg_replslot|pg_dynshmem|pg_notify|pg_stat_tmp|pg_subtrans)\/.+)$/

/**
 * Copies a running server (a base backup by SQL, because the binaries have no pg_basebackup) and starts the copy as its streaming
 * standby. The primary must write commits to disk before it acknowledges them (`synchronous_commit: 'on'`). Otherwise `catchUp`
 * cannot know what must arrive.
 */
export async function startStandby(primary: Pick<OwnServer, 'superuserUrl'>): Promise<Standby> {
  const directory = await makeThrowawayDirectory()
  const dataDir = join(directory, 'postgres')
  const { username, password, hostname, port } = new URL(primary.superuserUrl)
  // A slot keeps the primary from deleting the log that it wrote during the copy.
  const slot = `standby_${randomInt(1_000_000)}`
  await query(primary.superuserUrl, `SELECT pg_create_physical_replication_slot('${slot}', true)`)
  await backUp(primary.superuserUrl, dataDir)
  const source = `host=${hostname} port=${port} user=${username} password=${decodeURIComponent(password)} sslmode=disable`
  const own = await stat(join(dataDir, 'PG_VERSION'))
  await writeOwned(join(dataDir, 'standby.signal'), '', own)
  // Not on the command line, because it must be changed while the server runs.
  await writeOwned(
    join(dataDir, 'postgresql.auto.conf'),
    `primary_conninfo = '${source}'\nprimary_slot_name = '${slot}'\n`,
    own,
  )
  await writeFile(join(directory, 'postgres.password'), `${decodeURIComponent(password)}\n`, { mode: 0o600 })
  const server = await startEmbeddedServer({
    dataDir,
    port: randomInt(20_000, 32_000),
    settings: { ...throwawaySettings, synchronous_commit: 'on' },
  })
  const url = superuserUrlOf(server)
  return {
    ...{ host: server.host, port: server.port, superuserUrl: url },
    catchUp: () => catchUp(primary.superuserUrl, url),
    cutOff: () => cutOff(url),
    promote: async () => {
      const [row] = await query(url, `SELECT pg_promote(true, ${TIME_LIMIT_MS / 1000}) AS done`)
      if (row?.done !== true) throw new Error('the standby was not promoted')
    },
    dispose: async () => {
      await server.stop()
      await removeThrowaway(directory)
    },
  }
}

async function backUp(url: string, dataDir: string): Promise<void> {
  // The backup belongs to the session that began it.
  await withClient(url, async (client) => {
    const { rows } = await client.query("SELECT current_setting('data_directory') AS source")
    await client.query("SELECT pg_backup_start('standby', true)")
    const owner = await copyCluster(rows[0].source, dataDir)
    const ended = await client.query('SELECT labelfile FROM pg_backup_stop(false)')
    await writeOwned(join(dataDir, 'backup_label'), ended.rows[0].labelfile, owner)
  })
}

interface Owner {
  readonly uid: number
  readonly gid: number
}

/** Gives the files to the owner of the data. */
async function copyCluster(source: string, target: string): Promise<Owner> {
  const owner = await stat(source)
  await makeOwned(target, owner)
  const entries = await readdir(source, { recursive: true, withFileTypes: true })
  const paths = entries
    .map((entry) => ({ entry, path: join(entry.parentPath, entry.name).slice(source.length + 1) }))
    .filter(({ path }) => !LEFT_OUT.test(path))
    .toSorted((a, b) => a.path.length - b.path.length)
  for (const { entry, path } of paths) {
    if (entry.isDirectory()) await makeOwned(join(target, path), owner)
    else await copyOwned(join(source, path), join(target, path), owner)
  }
  return owner
}

async function makeOwned(path: string, { uid, gid }: Owner): Promise<void> {
  await mkdir(path, { mode: 0o700 })
  await chown(path, uid, gid)
}

async function copyOwned(from: string, to: string, { uid, gid }: Owner): Promise<void> {
  try {
    await copyFile(from, to)
  } catch (error) {
    // The primary continues and deletes files that it no longer needs. The log repeats these deletions in the copy.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  await chmod(to, 0o600)
  await chown(to, uid, gid)
}

async function writeOwned(path: string, text: string, { uid, gid }: Owner): Promise<void> {
  await writeFile(path, text, { mode: 0o600 })
  await chown(path, uid, gid)
}

async function catchUp(primaryUrl: string, standbyUrl: string): Promise<void> {
  const [row] = await query(primaryUrl, 'SELECT pg_current_wal_flush_lsn() AS lsn')
  await until(standbyUrl, `pg_last_wal_replay_lsn() >= '${row?.lsn}'::pg_lsn`)
}

async function cutOff(url: string): Promise<void> {
  await query(url, "ALTER SYSTEM SET primary_conninfo = ''")
  await query(url, 'SELECT pg_reload_conf()')
  await until(url, 'NOT EXISTS (SELECT FROM pg_stat_wal_receiver)')
}

async function until(url: string, condition: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    for (const deadline = performance.now() + TIME_LIMIT_MS; ; await sleep(20)) {
      const { rows } = await client.query(`SELECT ${condition} AS met`)
      if (rows[0]?.met === true) return
      if (performance.now() > deadline) throw new Error(`never became true: ${condition}`)
    }
  } finally {
    await client.end()
  }
}
