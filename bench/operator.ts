import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import type { ServerProcess } from './processes.ts'

/** A client program of a tenant. */
export interface Client {
  readonly tenantId: string
  readonly headers: Readonly<Record<string, string>>
}

/** A tenant, and an access token that may do everything in it. */
export interface TenantAccess {
  readonly id: string
  readonly token: string
}

const ACTIVE_POLL_MS = 5
const ACTIVE_TIMEOUT_MS = 60_000

/** Creates tenants through the operator's API. */
export class Operator {
  readonly #url: string
  readonly #token: string

  constructor({ port }: ServerProcess, token: string) {
    this.#url = `http://127.0.0.1:${port}/api/v1`
    this.#token = token
  }

  /** A tenant without people. */
  createTenant(code: string): Promise<{ id: string }> {
    return this.#call('POST', '/tenants', { code, name: code })
  }

  /** A tenant with an administrator, who has logged in. */
  async createTenantWithAdmin(code: string): Promise<TenantAccess> {
    const admin = { email: `admin@${code}.example`, password: randomBytes(18).toString('base64url') }
    const { id } = await this.#call<{ id: string }>('POST', '/tenants', {
      ...{ code, name: code, admin },
      authConfig: { accessTokenSeconds: 3_600 },
    })
    const { accessToken } = await this.#call<{ accessToken: string }>('POST', '/auth/login', {
      tenantCode: code,
      ...admin,
    })
    return { id, token: accessToken }
  }

  /** A tenant that signs its own tokens. Passwords are slow to hash: this creates hundreds of tenants in seconds. */
  async createSigningTenant(code: string): Promise<TenantAccess> {
    const { id } = await this.createTenant(code)
    const secret = randomBytes(32)
    const { kid } = await this.#call<{ kid: string }>('PUT', `/tenants/${id}/signing-key`, {
      ...{ algorithm: 'HS256', secret: secret.toString('base64') },
    })
    const token = await new SignJWT({ tenantId: id, permissions: ['*'] })
      .setProtectedHeader({ alg: 'HS256', kid })
      .setSubject('bench')
      .setIssuedAt()
      .setExpirationTime('2h')
      .sign(secret)
    return { id, token }
  }

  /** A tenant without people, and the headers of one of its client programs. */
  async createClient(code: string, permissions: readonly string[]): Promise<Client> {
    const { id } = await this.createTenant(code)
    const path = `/tenants/${id}/client-keys`
    const { key } = await this.#call<{ key: string }>('POST', path, { name: 'bench', permissions })
    return { tenantId: id, headers: { 'x-client-key': key, 'x-tenant-code': code } }
  }

  /** Registers a database for a tenant, and waits until it serves. */
  async giveDatabase(
    tenantId: string,
    database: { connectionString: string; poolSize?: number },
  ): Promise<void> {
    const path = `/tenants/${tenantId}/database`
    await this.#call('PUT', path, database)
    for (const end = performance.now() + ACTIVE_TIMEOUT_MS; performance.now() < end; ) {
      const { status, lastError } = await this.#call<{ status: string; lastError: unknown }>('GET', path)
      if (status === 'active') return
      if (status !== 'pending_validation') throw new Error(`the database is ${JSON.stringify(lastError)}`)
      await sleep(ACTIVE_POLL_MS)
    }
    throw new Error('the database did not become active')
  }

  async #call<Body>(method: string, path: string, body?: unknown): Promise<Body> {
    const response = await fetch(this.#url + path, {
      method,
      headers: {
        ...(path.startsWith('/auth/') ? {} : { authorization: `Bearer ${this.#token}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? null : JSON.stringify(body),
    })
    const text = await response.text()
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`)
    return JSON.parse(text) as Body
  }
}
