import { randomBytes } from 'node:crypto'
import type { InjectOptions } from 'fastify'
import type { Application, Gateway } from '../application.ts'
import { createDatabases, type TestDatabases } from './databases.ts'
import { type Injector, type Serving, startServing } from './serving.ts'
import { openTestServer } from './test-server.ts'
import { type Placement, TestTenant } from './test-tenant.ts'

export interface TestGatewayOptions {
  /** Settings other than those of the databases, as environment variables: `{ RATE_LIMIT_PER_MINUTE: '10' }`. */
  readonly env?: Readonly<Record<string, string>>
  /** A superuser's URL on the PostgreSQL to use. Without it `TEST_DATABASE_URL` is used, and without that an embedded server. */
  readonly databaseUrl?: string
}

export interface NewTestTenant {
  /** By default a new random code. */
  readonly code?: string
  /** `shared` by default. */
  readonly placement?: Placement
}

/** A gateway with databases of its own, for tests. `testGateway` creates it. */
export class TestGateway {
  readonly gateway: Gateway
  /** The address on which it listens, for clients that need a socket. */
  readonly url: string
  /** An operator who may do everything. */
  readonly operator: Injector
  readonly application: Application
  readonly databases: TestDatabases
  readonly serving: Serving
  readonly #closers: Closers
  #isClosed = false

  constructor({ application, databases, serving, operatorToken, closers }: GatewayParts) {
    this.application = application
    this.databases = databases
    this.serving = serving
    this.gateway = serving.gateway
    this.url = serving.url
    this.operator = {
      inject: (request) => serving.inject(withHeaders(request, { authorization: `Bearer ${operatorToken}` })),
    }
    this.#closers = closers
  }

  /** Creates a tenant, in the shared database or in a dedicated one. */
  async tenant({ code = newCode(), placement = 'shared' }: NewTestTenant = {}): Promise<TestTenant> {
    const payload = { code, name: `Tenant ${code}` }
    const created = await this.#call({ method: 'POST', url: '/api/v1/tenants', payload }, 201)
    const access = {
      serving: this.serving,
      operator: this.operator,
      databaseUrl: this.databases.sharedOwnerUrl,
    }
    const tenant = new TestTenant(access, { id: created.id as string, code, name: payload.name, placement })
    if (placement === 'dedicated') await this.#giveDatabase(tenant)
    return tenant
  }

  /** Closes the gateway and drops its databases. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await closeAll(this.#closers)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #giveDatabase(tenant: TestTenant): Promise<void> {
    const connectionString = await this.databases.createDedicated()
    const url = `/api/v1/tenants/${tenant.id}/database`
    await this.#call({ method: 'PUT', url, payload: { connectionString } }, 202)
    const deadline = performance.now() + VALIDATION_TIMEOUT_MS
    for (;;) {
      const { status, lastError } = await this.#call({ method: 'GET', url }, 200)
      if (status === 'active') break
      if (status === 'failed' || performance.now() > deadline)
        throw new Error(`The database of ${tenant.code} is ${status} (${lastError}).`)
      await new Promise((resolve) => setTimeout(resolve, POLL_MS))
    }
    tenant.useDatabase(connectionString)
  }

  async #call(request: InjectOptions, expected: number): Promise<Record<string, unknown>> {
    const answer = await this.operator.inject(request)
    if (answer.statusCode !== expected)
      throw new Error(`${request.method} ${request.url} answered ${answer.statusCode}: ${answer.body}`)
    return answer.json()
  }
}

/** One for each opened part, in the order of opening. They run in reverse order. */
type Closers = (() => Promise<void>)[]

interface GatewayParts {
  readonly application: Application
  readonly databases: TestDatabases
  readonly serving: Serving
  readonly operatorToken: string
  readonly closers: Closers
}

const POLL_MS = 20
const VALIDATION_TIMEOUT_MS = 20_000

/**
 * Starts a gateway of an application for tests, with an HTTP server and its own databases, which are copies of migrated ones.
 * Close it after the tests of the file.
 */
export async function testGateway(
  application: Application,
  { env = {}, databaseUrl }: TestGatewayOptions = {},
): Promise<TestGateway> {
  const closers: Closers = []
  try {
    const server = await openTestServer(databaseUrl)
    closers.push(() => server.release())
    const databases = await createDatabases(server, application)
    closers.push(() => databases.drop())
    const operatorToken = randomBytes(32).toString('base64url')
    const serving = await startServing(application, environment({ databases, operatorToken, env }))
    closers.push(() => serving.close())
    return new TestGateway({ application, databases, serving, operatorToken, closers })
  } catch (error) {
    await closeAll(closers).catch(() => undefined)
    throw error
  }
}

/** Calls `fn` for the shared database, then for a dedicated one. */
export async function eachPlacement(fn: (placement: Placement) => unknown): Promise<void> {
  await fn('shared')
  await fn('dedicated')
}

/** The same request with more headers. */
export function withHeaders(request: InjectOptions, headers: Record<string, string>): InjectOptions {
  return { ...request, headers: { ...request.headers, ...headers } }
}

function environment({
  databases,
  operatorToken,
  env,
}: {
  databases: TestDatabases
  operatorToken: string
  env: Readonly<Record<string, string>>
}): Record<string, string> {
  return {
    CATALOG_DATABASE_URL: databases.catalogUrl,
    SHARED_DATABASE_URL: databases.sharedUrl,
    SHARED_MIGRATION_DATABASE_URL: databases.sharedOwnerUrl,
    ENCRYPTION_KEY: randomBytes(32).toString('base64'),
    OPERATOR_TOKEN: operatorToken,
    DATABASE_HOSTS_ALLOWED: new URL(databases.catalogUrl).host,
    HOST: '127.0.0.1',
    PORT: '0',
    // Only errors are logged, so that the reason for a failed handler is easy to find.
    LOG_LEVEL: 'error',
    SHUTDOWN_GRACE_SECONDS: '1',
    RATE_LIMIT_PER_MINUTE: '1000000',
    ...env,
  }
}

async function closeAll(closers: Closers): Promise<void> {
  const failures: unknown[] = []
  for (let close = closers.pop(); close !== undefined; close = closers.pop())
    await close().catch((error: unknown) => failures.push(error))
  if (failures.length > 0) throw failures[0]
}

function newCode(): string {
  return `t-${randomBytes(6).toString('hex')}`
}
