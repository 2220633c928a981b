import { access } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { prepareBinaries } from '../../src/embedded/binaries.ts'
import { type EmbeddedServer, startEmbeddedServer } from '../../src/embedded/server.ts'
import {
  makeThrowawayDirectory,
  removeThrowaway,
  sweepThrowaways,
  throwawaySettings,
} from '../../src/testing/throwaway.ts'

export interface TestServer {
  readonly origin: 'TEST_DATABASE_URL' | 'testcontainers' | 'embedded'
  /** Its database is for administration only. Tests create their own. */
  readonly superuserUrl: string
  stop(): Promise<void>
}

const image = 'postgres:18'
const postgresPort = 5432
const containerPassword = 'only-for-tests'
const statementStatistics = 'pg_stat_statements'
const settings: Record<string, string> = {
  ...throwawaySettings,
  max_connections: '400',
  // A database lives for seconds and needs no cleaning. A worker on a template would delay its copies.
  autovacuum: 'off',
  // Each of thousands of connections computes these, and the passwords protect nothing.
  scram_iterations: '1',
}

/**
 * The server that all tests share: the one named by `TEST_DATABASE_URL`, else a container if a Docker engine answers, else the
 * embedded one.
 */
export async function startTestServer(): Promise<TestServer> {
  const given = process.env.TEST_DATABASE_URL
  if (given !== undefined && given !== '') {
    return { origin: 'TEST_DATABASE_URL', superuserUrl: given, stop: async () => {} }
  }
  if (await dockerAnswers()) {
    const container = await startContainer()
    if (container !== null) return container
  }
  return startEmbedded()
}

/** The URL of the superuser's administration database. */
export function superuserUrlOf({ host, port, superuser }: EmbeddedServer): string {
  return `postgresql://${superuser.user}:${superuser.password.reveal()}@${host}:${port}/postgres?sslmode=disable`
}

async function startEmbedded(): Promise<TestServer> {
  await sweepThrowaways()
  const directory = await makeThrowawayDirectory()
  // With the default of 5,000 statements the server forgets those of a test while other files add theirs.
  const preload = (await hasStatementStatistics())
    ? { shared_preload_libraries: statementStatistics, 'pg_stat_statements.max': '50000' }
    : {}
  const server = await startEmbeddedServer({
    dataDir: join(directory, 'postgres'),
    settings: { ...settings, ...preload },
  })
  const stop = async () => {
    await server.stop()
    await removeThrowaway(directory)
  }
  return { origin: 'embedded', superuserUrl: superuserUrlOf(server), stop }
}

async function hasStatementStatistics(): Promise<boolean> {
  const { native } = await prepareBinaries(null)
  for (const ending of ['so', 'dylib', 'dll']) {
    const path = join(native, 'lib', 'postgresql', `${statementStatistics}.${ending}`)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return true
  }
  return false
}

/** An engine that answers may be unable to get the image. Then the embedded server is used. */
async function startContainer(): Promise<TestServer | null> {
  try {
    // Loaded here only: it takes 300 ms, and most machines that run the tests do not need it.
    const { GenericContainer, Wait } = await import('testcontainers')
    const all = { ...settings, shared_preload_libraries: statementStatistics }
    const container = await new GenericContainer(image)
      .withEnvironment({ POSTGRES_PASSWORD: containerPassword })
      .withExposedPorts(postgresPort)
      .withTmpFs({ '/var/lib/postgresql': 'rw' })
      .withCommand([
        'postgres',
        ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ])
      // Once for the server that initialises the data, once for the one that stays.
      .withWaitStrategy(Wait.forLogMessage(/database system is ready to accept connections/, 2))
      .start()
    const address = `${container.getHost()}:${container.getMappedPort(postgresPort)}`
    return {
      origin: 'testcontainers',
      superuserUrl: `postgresql://postgres:${containerPassword}@${address}/postgres`,
      stop: async () => {
        await container.stop()
      },
    }
  } catch (error) {
    console.warn(`Docker answers, but ${image} could not be started; using the embedded server.`, error)
    return null
  }
}

/** Testcontainers itself waits 40 s for a silent DOCKER_HOST. */
function dockerAnswers(timeoutMs = 500): Promise<boolean> {
  const target = dockerTarget()
  if (target === null) return Promise.resolve(false)
  return new Promise((resolve) => {
    const call = request({ ...target, path: '/_ping', signal: AbortSignal.timeout(timeoutMs) }, (answer) => {
      answer.resume()
      resolve(answer.statusCode === 200)
    })
    call.on('error', () => resolve(false))
    call.end()
  })
}

function dockerTarget(): { socketPath: string } | { host: string; port: string } | null {
  const given = process.env.DOCKER_HOST
  if (given === undefined || given === '') return { socketPath: '/var/run/docker.sock' }
  if (given.startsWith('unix://')) return { socketPath: given.slice('unix://'.length) }
  // Engines at ssh:// or npipe://, or with TLS only, are not tried. Use TEST_DATABASE_URL for those.
  const url = URL.canParse(given) ? new URL(given) : null
  return url?.protocol === 'tcp:' ? { host: url.hostname, port: url.port || '2375' } : null
}
