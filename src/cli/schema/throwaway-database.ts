import { randomBytes } from 'node:crypto'
import type { GuardedClient } from '../../lib/postgres/guarded-client.ts'
import { type ConnectionLimits, connectClient, errorCode, type ServerAddress } from '../../lib/postgres/pg.ts'
import { SchemaError } from './schema-error.ts'

/** An empty database with roles as in production: one owns the tables, the other serves and owns nothing. */
export interface ThrowawayDatabase {
  readonly owner: ServerAddress
  readonly serving: ServerAddress
  drop(): Promise<void>
}

const LIMITS: ConnectionLimits = { connectTimeoutMs: 10_000, statementTimeoutMs: 120_000 }

/** Makes a throwaway database. After a failure nothing is left on the server. @throws SchemaError SERVER_UNUSABLE */
export async function createThrowawayDatabase(superuser: ServerAddress): Promise<ThrowawayDatabase> {
  const name = `freehold_check_${randomBytes(6).toString('hex')}`
  const [owner, serving] = [`${name}_owner`, `${name}_serving`]
  const password = randomBytes(24).toString('base64url')
  const drop = () =>
    lend(superuser, async (client) => {
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      await client.query(`DROP ROLE IF EXISTS ${owner}, ${serving}`)
    })
  const address = (user: string): ServerAddress => ({
    ...superuser,
    database: name,
    user,
    password: async () => password,
  })
  try {
    await lend(superuser, async (client) => {
      for (const role of [owner, serving])
        await client.query(`CREATE ROLE ${role} LOGIN PASSWORD '${password}'`)
      await client.query(
        `CREATE DATABASE ${name} OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'`,
      )
    })
    await lend({ ...superuser, database: name }, (client) =>
      client.query(`GRANT CONNECT ON DATABASE ${name} TO ${serving}; GRANT USAGE ON SCHEMA public TO ${serving};
        ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} IN SCHEMA public
          GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${serving}`),
    )
  } catch (error) {
    await drop().catch(() => undefined)
    const code = errorCode(error)
    if (code === null) throw error
    throw new SchemaError(
      'SERVER_UNUSABLE',
      `A throwaway database cannot be created on ${superuser.host}:${superuser.port} (${code}). ` +
        'TEST_DATABASE_URL must name a superuser of a running PostgreSQL.',
    )
  }
  return { owner: address(owner), serving: address(serving), drop }
}

/** Lends a connection and closes it. */
export async function lend<T>(address: ServerAddress, fn: (client: GuardedClient) => Promise<T>): Promise<T> {
  const client = await connectClient(address, LIMITS)
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}
