import { execFile } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { chmod, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type EmbeddedServer, startEmbeddedServer } from '../../src/embedded/server.ts'
import { makeThrowawayDirectory, removeThrowaway, throwawaySettings } from '../../src/testing/throwaway.ts'
import { superuserUrlOf } from './postgres.ts'

/** Owner and mode of the files are kept. */
const copyDirectory = promisify(execFile)

/** A PostgreSQL for one test file, which can stop it and start it again on the same port. */
export interface OwnServer {
  readonly host: string
  readonly port: number
  readonly superuserUrl: string
  /** Fast shutdown: sessions are cut off, and new connections are refused. */
  stop(): Promise<void>
  /** A server with a copy of this one's data, as from the image of a machine. This one is stopped meanwhile. */
  clone(): Promise<OwnServer>
  /** Starts it again on the same port with the same data. */
  start(): Promise<void>
  /** The same in recovery: a hot standby that gets no further changes until it is promoted. */
  startAsStandby(): Promise<void>
  /** Stops it for good and deletes its data. */
  dispose(): Promise<void>
}

/** Starts one in memory, without fsync. It is always an embedded one, even if the shared server is not. */
export async function startOwnServer(
  options: { settings?: Record<string, string> } = {},
): Promise<OwnServer> {
  return startIn(await makeThrowawayDirectory(), options)
}

async function startIn(
  directory: string,
  options: { settings?: Record<string, string> },
): Promise<OwnServer> {
  const start = (port: number) =>
    startEmbeddedServer({
      dataDir: join(directory, 'postgres'),
      port,
      settings: { ...throwawaySettings, ...options.settings },
    })
  // Below the range that the system uses for outgoing connections, so that no other process takes it while the server is down.
  let server: EmbeddedServer = await start(randomInt(20_000, 32_000))
  const { host, port } = server
  const restart = async () => {
    server = await start(port)
    if (server.port === port) return
    await server.stop()
    throw new Error(`Port ${port} was taken while the server was down.`)
  }
  return {
    host,
    port,
    superuserUrl: superuserUrlOf(server),
    stop: () => server.stop(),
    clone: async () => {
      const image = await makeThrowawayDirectory()
      await server.stop()
      await copyDirectory('cp', ['-a', `${directory}/.`, image])
      await chmod(image, 0o711)
      await restart()
      return startIn(image, options)
    },
    start: restart,
    startAsStandby: async () => {
      await writeFile(join(directory, 'postgres', 'standby.signal'), '', { mode: 0o644 })
      await restart()
    },
    dispose: async () => {
      await server.stop()
      await removeThrowaway(directory)
    },
  }
}
