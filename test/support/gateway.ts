import { randomBytes } from 'node:crypto'
import { Writable } from 'node:stream'
import type { Application } from '../../src/application.ts'
import { readSettings } from '../../src/config.ts'
import { parseMasterKey } from '../../src/crypto/key-source.ts'
import { HttpListener } from '../../src/gateway/listener.ts'
import { Gateway } from '../../src/gateway.ts'
import type { HashCost } from '../../src/identity/login/passwords.ts'
import { Secret } from '../../src/lib/secret.ts'
import { createLogger } from '../../src/logger.ts'
import { property } from './application.ts'
import { createDatabase, createRole, query, urlFor } from './database.ts'
import { createMigrated } from './migrated.ts'
import { addressOf } from './tenant-database.ts'

/** The databases of one gateway, or of several that share a catalog. */
export interface Stage {
  readonly catalogUrl: string
  readonly sharedUrl: string
  /** With the role that owns its tables, if that is not the serving role. */
  readonly sharedOwnerUrl?: string
  readonly encryptionKey: string
  readonly operatorToken: string
  /** The cost of a password hash for its gateways in this process. The usual cost if absent. */
  readonly passwordCost?: HashCost
}

/** An eighth of the usual cost. Gateways with either cost accept hashes of the other. */
const CHEAP: HashCost = { memoryCost: 4_864, timeCost: 1, parallelism: 1 }

/** Creates a catalog and a shared database, each owned by an ordinary role, and migrated or empty. */
export async function createStage({
  empty = false,
  application = property,
  realPasswords = false,
}: {
  empty?: boolean
  application?: Application
  realPasswords?: boolean
} = {}): Promise<Stage> {
  const [catalogRole, sharedRole] = await Promise.all([createRole(), createRole()])
  const [catalog, shared] = await Promise.all(
    empty
      ? [createDatabase({ owner: catalogRole.name }), createDatabase({ owner: sharedRole.name })]
      : [createMigrated(catalogRole.name, 'catalog'), createMigrated(sharedRole.name, application)],
  )
  return {
    catalogUrl: urlFor({ role: catalogRole, database: catalog }),
    sharedUrl: urlFor({ role: sharedRole, database: shared }),
    encryptionKey: randomBytes(32).toString('base64'),
    operatorToken: randomBytes(32).toString('base64url'),
    ...(!realPasswords && { passwordCost: CHEAP }),
  }
}

/** Makes another role serve the shared database, which owns nothing there. */
export async function withTwoRoles(stage: Stage): Promise<Stage> {
  const serving = await createRole()
  const database = new URL(stage.sharedUrl).pathname.slice(1)
  await query(
    stage.sharedUrl,
    `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO ${serving.name};
     REVOKE ALL ON residence, freehold_here, freehold_migrations FROM ${serving.name};
     GRANT SELECT ON freehold_migrations TO ${serving.name}`,
  )
  return { ...stage, sharedUrl: urlFor({ role: serving, database }), sharedOwnerUrl: stage.sharedUrl }
}

/** `npm run test:lanes` runs the tests a second time, with lanes. */
function lanesOfTheRun(): Record<string, string> {
  const { TEST_LANES } = process.env
  return TEST_LANES === undefined ? {} : { LANES: TEST_LANES }
}

/** The settings of the stage for a process. Health rounds are frequent, so that tests need not wait. */
export function environmentOf(stage: Stage, more: Record<string, string> = {}): Record<string, string> {
  return {
    CATALOG_DATABASE_URL: stage.catalogUrl,
    SHARED_DATABASE_URL: stage.sharedUrl,
    ...(stage.sharedOwnerUrl !== undefined && { SHARED_MIGRATION_DATABASE_URL: stage.sharedOwnerUrl }),
    ENCRYPTION_KEY: stage.encryptionKey,
    OPERATOR_TOKEN: stage.operatorToken,
    DATABASE_HOSTS_ALLOWED: '127.0.0.1,::1',
    HEALTH_CHECK_CRON: '* * * * * *',
    PORT: '0',
    SHUTDOWN_GRACE_SECONDS: '1',
    ...lanesOfTheRun(),
    ...more,
  }
}

export interface Answer<Body = Record<string, unknown>> {
  readonly status: number
  readonly headers: Headers
  readonly body: Body
  readonly text: string
}

export interface Call {
  readonly token?: string
  readonly headers?: Record<string, string>
  readonly body?: unknown
}

/** A caller of one gateway. Bodies are sent and read as JSON. */
export class Caller {
  readonly url: string
  readonly #operatorToken: string

  constructor(url: string, operatorToken: string) {
    this.url = url
    this.#operatorToken = operatorToken
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever comes back
  async call<Body = any>(method: string, path: string, call: Call = {}): Promise<Answer<Body>> {
    const headers = new Headers(call.headers)
    if (call.token !== undefined) headers.set('authorization', `Bearer ${call.token}`)
    if (call.body !== undefined && !headers.has('content-type'))
      headers.set('content-type', 'application/json')
    const body =
      call.body === undefined ? null : typeof call.body === 'string' ? call.body : JSON.stringify(call.body)
    const response = await fetch(`${this.url}${path}`, { method, headers, body })
    const text = await response.text()
    const isJson = (response.headers.get('content-type') ?? '').includes('json')
    const parsed = (text !== '' && isJson ? JSON.parse(text) : null) as Body
    return { status: response.status, headers: response.headers, body: parsed, text }
  }

  /** As the bootstrap operator. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  operator<Body = any>(method: string, path: string, body?: unknown): Promise<Answer<Body>> {
    return this.call(method, `/api/v1${path}`, {
      token: this.#operatorToken,
      ...(body !== undefined && { body }),
    })
  }

  /** Creates a tenant with an administrator, and signs in. */
  async createTenant(code = `t-${randomBytes(6).toString('hex')}`): Promise<TestTenant> {
    const admin = { email: `admin@${code}.example`, password: 'correct horse battery staple' }
    const { status, body, text } = await this.operator('POST', '/tenants', {
      code,
      name: `Tenant ${code}`,
      admin,
    })
    if (status !== 201) throw new Error(`the tenant was not made: ${text}`)
    const token = await this.login(code, admin)
    return { id: body.id as string, code, admin, token }
  }

  async login(tenantCode: string, { email, password }: { email: string; password: string }): Promise<string> {
    const { status, body, text } = await this.call('POST', '/api/v1/auth/login', {
      body: { tenantCode, email, password },
    })
    if (status !== 200) throw new Error(`signing in failed: ${text}`)
    return body.accessToken as string
  }

  /** Registers a database and returns its state after the validation. */
  async registerDatabase(tenantId: string, connectionString: string, more: object = {}) {
    const { status, text } = await this.operator('PUT', `/tenants/${tenantId}/database`, {
      connectionString,
      ...more,
    })
    if (status !== 202) throw new Error(`the database was not taken: ${text}`)
    return this.waitForDatabase(tenantId)
  }

  /** The state of the tenant's database (or of its candidate) once it is no longer pending. */
  async waitForDatabase(tenantId: string) {
    const deadline = performance.now() + 60_000
    for (;;) {
      const { body } = await this.operator('GET', `/tenants/${tenantId}/database`)
      if (body.status !== 'pending_validation' && body.candidate?.status !== 'pending_validation') return body
      if (performance.now() > deadline) throw new Error(`the database is still ${JSON.stringify(body)}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}

export interface TestTenant {
  readonly id: string
  readonly code: string
  readonly admin: { readonly email: string; readonly password: string }
  readonly token: string
}

export interface TestGateway extends Caller {
  readonly gateway: Gateway
  readonly application: Application
  /** All its log lines. */
  readonly log: () => string
  close(): Promise<void>
}

/** Starts a gateway of this release in this process, on a free port. */
export async function startGateway(
  stage: Stage,
  more: Record<string, string> = {},
  application: Application = property,
): Promise<TestGateway> {
  const settings = readSettings(environmentOf(stage, { LOG_LEVEL: 'debug', ...more }))
  const lines: string[] = []
  const sink = new Writable({
    write(chunk, _encoding, done) {
      lines.push(String(chunk))
      done()
    },
  })
  const gateway = new Gateway({
    application,
    settings,
    databases: {
      catalog: addressOf(stage.catalogUrl),
      catalogOwner: null,
      shared: addressOf(stage.sharedUrl),
      sharedOwner: stage.sharedOwnerUrl === undefined ? null : addressOf(stage.sharedOwnerUrl),
    },
    encryptionKey: parseMasterKey(stage.encryptionKey),
    operatorToken: new Secret(stage.operatorToken),
    hostRules: settings.hostRules,
    ...(stage.passwordCost !== undefined && { passwordCost: stage.passwordCost }),
    log: createLogger(settings.logLevel, sink),
  })
  await gateway.start()
  const listener = new HttpListener(gateway, settings)
  const { port } = await listener.listen()
  const caller = new Caller(`http://127.0.0.1:${port}`, stage.operatorToken)
  return Object.assign(caller, {
    ...{ gateway, application },
    log: () => lines.join(''),
    close: () => listener.end(),
  })
}
