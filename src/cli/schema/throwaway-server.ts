import { join } from 'node:path'
import { testDatabaseUrl } from '../../config.ts'
import { ConnectionStringError, parseConnectionString } from '../../lib/postgres/connection-string.ts'
import { addressOfTarget, type ServerAddress } from '../../lib/postgres/pg.ts'
import { CommandError, EXIT } from '../exit-codes.ts'

/** A PostgreSQL on which databases and roles can be created. */
export interface ThrowawayServer {
  readonly superuser: ServerAddress
  stop(): Promise<void>
}

const APPLICATION_NAME = 'freehold schema check'

/** The server that `TEST_DATABASE_URL` names, else an embedded one. @throws CommandError, EmbeddedServerError */
export async function openThrowawayServer(): Promise<ThrowawayServer> {
  const url = testDatabaseUrl()
  return url === null ? startOne() : { superuser: addressOf(url), stop: async () => undefined }
}

function addressOf(url: string): ServerAddress {
  try {
    const target = parseConnectionString(url)
    return addressOfTarget(target, { sslMode: 'verify-full', applicationName: APPLICATION_NAME })
  } catch (error) {
    if (!(error instanceof ConnectionStringError)) throw error
    throw new CommandError(`TEST_DATABASE_URL ${error.message}`, {
      code: 'SETTINGS_INVALID',
      exitCode: EXIT.config,
    })
  }
}

async function startOne(): Promise<ThrowawayServer> {
  // Loaded here, because with TEST_DATABASE_URL no embedded PostgreSQL need be installed.
  const { startEmbeddedServer } = await import('../../embedded/server.ts')
  const { makeThrowawayDirectory, removeThrowaway, sweepThrowaways, throwawaySettings } = await import(
    '../../testing/throwaway.ts'
  )
  // Removes the data of earlier checks that Ctrl-C ended.
  await sweepThrowaways()
  const directory = await makeThrowawayDirectory()
  try {
    const server = await startEmbeddedServer({
      dataDir: join(directory, 'postgres'),
      settings: throwawaySettings,
    })
    const { host, port, superuser } = server
    return {
      superuser: {
        ...{ host, port, database: 'postgres', user: superuser.user, lookup: null, caCertificate: null },
        password: async () => superuser.password.reveal(),
        sslMode: 'disable',
        applicationName: APPLICATION_NAME,
      },
      stop: async () => {
        await server.stop()
        await removeThrowaway(directory)
      },
    }
  } catch (error) {
    await removeThrowaway(directory)
    throw error
  }
}
