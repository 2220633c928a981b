import { createHash, randomBytes } from 'node:crypto'
import type { Application } from '../application.ts'
import { connectClient } from '../lib/postgres/pg.ts'
import { applyMigrations } from '../migrations/apply.ts'
import {
  type Migration,
  migrationsFolder,
  readMigrations,
  readTenantMigrations,
} from '../migrations/files.ts'
import { addressOf } from './address.ts'
import { copyTemplate, ensureRole, ensureTemplate, type Login, quote, type SqlClient } from './templates.ts'
import type { TestServer } from './test-server.ts'

/** The databases of one test gateway. */
export interface TestDatabases {
  readonly catalogUrl: string
  /** As the serving role, which owns nothing. */
  readonly sharedUrl: string
  /** As the role that owns the tables. */
  readonly sharedOwnerUrl: string
  /** Creates a migrated database for one tenant, owned by a role of its own. */
  createDedicated(): Promise<string>
  /** Runs SQL as superuser in the database that a URL names. */
  asSuperuser<T>(url: string, work: (client: SqlClient) => Promise<T>): Promise<T>
  /** Drops all databases and roles of the gateway. */
  drop(): Promise<void>
}

type Kind = 'catalog' | 'shared' | 'dedicated'

/** A part of the templates' names. Raise it when templates are built in another way, so that no older ones are used. */
const FORMAT = 1
const PREFIX = 'freehold_test_'
/** Shared by all test gateways on a server. The owner also owns databases. The writer never does, see `Copy`. */
const ROLES = { owner: `${PREFIX}owner`, serving: `${PREFIX}serving`, writer: `${PREFIX}writer` } as const
const CONNECT = { connectTimeoutMs: 10_000, statementTimeoutMs: 0 }
const LOCK_TIMEOUT_MS = 30_000

/** Creates the catalog and the shared database of a test gateway. */
export async function createDatabases(server: TestServer, application: Application): Promise<TestDatabases> {
  const maker = new DatabaseMaker(server, application)
  try {
    const [catalog, shared] = await maker.createFirst()
    return {
      catalogUrl: maker.urlFor('owner', catalog),
      sharedUrl: maker.urlFor('serving', shared),
      sharedOwnerUrl: maker.urlFor('owner', shared),
      createDedicated: () => maker.createDedicated(),
      asSuperuser: (url, work) => server.superuser(databaseOf(url), work),
      drop: () => maker.drop(),
    }
  } catch (error) {
    await maker.drop().catch(() => undefined)
    throw error
  }
}

class DatabaseMaker {
  readonly #server: TestServer
  readonly #application: Application
  readonly #databases: string[] = []
  readonly #roles: string[] = []

  constructor(server: TestServer, application: Application) {
    this.#server = server
    this.#application = application
  }

  urlFor(role: keyof typeof ROLES, database: string): string {
    return this.#server.urlFor(this.#login(role), database)
  }

  async createFirst(): Promise<[catalog: string, shared: string]> {
    await this.#server.superuser(null, async (client) => {
      for (const role of ['owner', 'serving'] as const) await ensureRole(client, this.#login(role))
    })
    return Promise.all([this.#copy('catalog', ROLES.owner), this.#copy('shared', ROLES.owner)])
  }

  async createDedicated(): Promise<string> {
    const login = { name: newName('role_'), password: randomBytes(16).toString('hex') }
    await this.#server.superuser(null, (client) => ensureRole(client, login))
    this.#roles.push(login.name)
    return this.#server.urlFor(login, await this.#copy('dedicated', login.name))
  }

  async drop(): Promise<void> {
    await this.#server.superuser(null, async (client) => {
      for (const name of this.#databases.splice(0))
        await client.query(`DROP DATABASE IF EXISTS ${quote(name)} WITH (FORCE)`)
      for (const name of this.#roles.splice(0)) await client.query(`DROP ROLE IF EXISTS ${quote(name)}`)
    })
  }

  async #copy(kind: Kind, owner: string): Promise<string> {
    const template = await this.#template(kind)
    const name = newName(`${kind}_`)
    this.#databases.push(name)
    const writer = kind === 'dedicated' ? ROLES.writer : null
    await copyTemplate(this.#server.superuser, { template, name, owner, writer })
    return name
  }

  async #template(kind: Kind): Promise<string> {
    const migrations = await this.#migrationsOf(kind)
    const hash = createHash('sha256').update(JSON.stringify([FORMAT, migrations.map(({ hash }) => hash)]))
    const name = `${PREFIX}template_${kind}_${hash.digest('hex').slice(0, 16)}`
    const role = kind === 'dedicated' ? 'writer' : 'owner'
    await ensureTemplate(this.#server.superuser, {
      ...{ name, writer: this.#login(role) },
      fill: async () => {
        if (kind === 'shared') await this.#grantToServingRole(name)
        await migrate(this.urlFor(role, name), migrations)
      },
    })
    return name
  }

  #migrationsOf(kind: Kind): Promise<Migration[]> {
    if (kind === 'catalog') return readMigrations(migrationsFolder('catalog'), 'catalog')
    return readTenantMigrations(this.#application)
  }

  /** Grants the rights that the documentation shows for a setup with two roles. */
  #grantToServingRole(database: string): Promise<unknown> {
    return this.#server.superuser(database, (client) =>
      client.query(`GRANT USAGE ON SCHEMA public TO ${ROLES.serving};
        ALTER DEFAULT PRIVILEGES FOR ROLE ${ROLES.owner} IN SCHEMA public
          GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO ${ROLES.serving}`),
    )
  }

  #login(role: keyof typeof ROLES): Login {
    const name = ROLES[role]
    return { name, password: this.#server.passwordOf(name) }
  }
}

async function migrate(url: string, migrations: readonly Migration[]): Promise<void> {
  const client = await connectClient(addressOf(url), CONNECT)
  try {
    await applyMigrations(client, migrations, { lockTimeoutMs: LOCK_TIMEOUT_MS })
  } finally {
    await client.end()
  }
}

function newName(label: string): string {
  return `${PREFIX}${label}${randomBytes(6).toString('hex')}`
}

function databaseOf(url: string): string {
  return addressOf(url).database
}
