import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { testDatabaseUrl } from '../config.ts'
import { connectClient } from '../lib/postgres/pg.ts'
import { addressOf } from './address.ts'
import type { Superuser } from './templates.ts'
import { makeThrowawayDirectory, removeThrowaway, sweepThrowaways, throwawaySettings } from './throwaway.ts'

/** A PostgreSQL on which tests may create databases and roles. */
export interface TestServer {
  readonly superuser: Superuser
  /** The URL of a database there, for a role. */
  urlFor(login: { readonly name: string; readonly password: string }, database: string): string
  /** The password of a role that several processes share. Each process computes the same one. */
  passwordOf(role: string): string
  /** Call this when the server is not needed any more. An embedded server ends with its last user. */
  release(): Promise<void>
}

interface Embedded {
  readonly url: Promise<string>
  stop(): Promise<void>
  users: number
}

const CONNECT_TIMEOUT_MS = 10_000
const STATEMENT_TIMEOUT_MS = 60_000
const MAX_CONNECTIONS = '200'

// One server for all test gateways of a process, because its start takes a second.
let embedded: Embedded | null = null

/** Opens the server at `url`. Without a URL, `TEST_DATABASE_URL` is used, and without that an embedded server. */
export async function openTestServer(url = testDatabaseUrl()): Promise<TestServer> {
  if (url !== null) return new Server(url, () => Promise.resolve())
  embedded ??= startEmbedded()
  const used = embedded
  used.users += 1
  const release = async () => {
    used.users -= 1
    if (used.users > 0) return
    if (embedded === used) embedded = null
    await used.stop()
  }
  try {
    return new Server(await used.url, release)
  } catch (error) {
    await release()
    throw error
  }
}

class Server implements TestServer {
  readonly release: () => Promise<void>
  readonly #url: string
  readonly superuser: Superuser = async (database, work) => {
    const address = addressOf(this.#url)
    const client = await connectClient(
      { ...address, database: database ?? address.database },
      {
        connectTimeoutMs: CONNECT_TIMEOUT_MS,
        statementTimeoutMs: STATEMENT_TIMEOUT_MS,
      },
    )
    try {
      return await work(client)
    } finally {
      await client.end()
    }
  }

  constructor(url: string, release: () => Promise<void>) {
    this.#url = url
    this.release = release
  }

  urlFor({ name, password }: { name: string; password: string }, database: string): string {
    const url = new URL(this.#url)
    Object.assign(url, { username: encodeURIComponent(name), password: encodeURIComponent(password) })
    url.pathname = `/${encodeURIComponent(database)}`
    return url.href
  }

  passwordOf(role: string): string {
    return createHash('sha256').update(`${role} ${this.#url}`).digest('hex')
  }
}

function startEmbedded(): Embedded {
  const started = launch()
  return {
    users: 0,
    url: started.then(({ url }) => url),
    stop: () =>
      started.then(
        ({ stop }) => stop(),
        () => undefined,
      ),
  }
}

async function launch(): Promise<{ url: string; stop: () => Promise<void> }> {
  // Imported only here: with a server of their own, users need not install the embedded PostgreSQL.
  const { startEmbeddedServer } = await import('../embedded/server.ts')
  await sweepThrowaways()
  const directory = await makeThrowawayDirectory()
  try {
    const { host, port, superuser, stop } = await startEmbeddedServer({
      dataDir: join(directory, 'postgres'),
      settings: { ...throwawaySettings, max_connections: MAX_CONNECTIONS },
    })
    const url = `postgresql://${superuser.user}:${superuser.password.reveal()}@${host}:${port}/postgres?sslmode=disable`
    return { url, stop: () => stop().then(() => removeThrowaway(directory)) }
  } catch (error) {
    await removeThrowaway(directory)
    throw error
  }
}
