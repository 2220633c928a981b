import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testDatabaseUrl } from '../config.ts'
import { ConnectionStringError, effectiveSslMode, parseConnectionString } from '../lib/connection-string.ts'
import type { ServerAddress } from '../lib/pg.ts'
import { CommandError, EXIT } from './exit-codes.ts'

/** A PostgreSQL on which databases and roles may be made. */
export interface ThrowawayServer {
  readonly superuser: ServerAddress
  stop(): Promise<void>
}

/** Nobody will miss what is in it. */
const SETTINGS = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off' }

/** The server that `TEST_DATABASE_URL` names, else an embedded one of its own. @throws CommandError, EmbeddedServerError */
export async function openThrowawayServer(): Promise<ThrowawayServer> {
  const url = testDatabaseUrl()
  return url === null ? startOne() : { superuser: addressOf(url), stop: async () => undefined }
}

function addressOf(url: string): ServerAddress {
  try {
    const target = parseConnectionString(url)
    const { host, port, database, user, handshake } = target
    return {
      ...{ host, port, database, user, handshake, lookup: null, caCertificate: null },
      password: async () => target.password.reveal(),
      sslMode: effectiveSslMode(target, 'verify-full'),
      applicationName: 'freehold schema check',
    }
  } catch (error) {
    if (!(error instanceof ConnectionStringError)) throw error
    throw new CommandError(`TEST_DATABASE_URL ${error.message}`, {
      code: 'SETTINGS_INVALID',
      exitCode: EXIT.config,
    })
  }
}

async function startOne(): Promise<ThrowawayServer> {
  // Only here: with TEST_DATABASE_URL no PostgreSQL need be installed.
  const { removeEmbeddedServer, startEmbeddedServer } = await import('../embedded/server.ts')
  const directory = await mkdtemp(join(tmpdir(), 'freehold-check-'))
  // The server of a root user runs as another account, which has to enter here.
  await chmod(directory, 0o711)
  const dataDir = join(directory, 'postgres')
  try {
    const { host, port, superuser, stop } = await startEmbeddedServer({ dataDir, settings: SETTINGS })
    return {
      superuser: {
        ...{ host, port, database: 'postgres', user: superuser.user, lookup: null, caCertificate: null },
        password: async () => superuser.password.reveal(),
        sslMode: 'disable',
        applicationName: 'freehold schema check',
      },
      stop: async () => {
        await stop()
        await remove()
      },
    }
  } catch (error) {
    await remove()
    throw error
  }

  async function remove(): Promise<void> {
    await removeEmbeddedServer(dataDir)
    await rm(directory, { recursive: true, force: true })
  }
}
