import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Tenant } from '../application.ts'
import type { Injector, Serving } from './serving.ts'

/** Which kind of database has a tenant's rows. */
export type Placement = 'shared' | 'dedicated'

interface Facts {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly placement: Placement
}

/** How a test tenant reaches the gateway and its rows. */
export interface TenantAccess {
  readonly serving: Serving
  readonly operator: Injector
  /** The database that has its rows at first. */
  readonly databaseUrl: string
}

/** A tenant of a test gateway. */
export class TestTenant {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly placement: Placement
  readonly #access: TenantAccess
  /** Client keys, by the permissions that they have. */
  readonly #keys = new Map<string, Promise<string>>()
  #databaseUrl: string

  constructor(access: TenantAccess, { id, code, name, placement }: Facts) {
    this.#access = access
    this.id = id
    this.code = code
    this.name = name
    this.placement = placement
    this.#databaseUrl = access.databaseUrl
  }

  /** The URL of the database that has its rows, as the role that owns the tables. */
  get databaseUrl(): string {
    return this.#databaseUrl
  }

  /** Call this when the tenant has a dedicated database. */
  useDatabase(databaseUrl: string): void {
    this.#databaseUrl = databaseUrl
  }

  /** Sends requests as a program of the tenant that has exactly these permissions. */
  as(permissions: string | readonly string[]): Injector {
    const list = [...new Set([permissions].flat())].sort()
    return { inject: (request) => this.#inject(list, request) }
  }

  /** Works in the tenant without HTTP, as `gateway.tenants.run` does. */
  run<T>(fn: (tenant: Tenant) => Promise<T>): Promise<T> {
    return this.#access.serving.gateway.tenants.run(this.code, fn, { actor: 'test' })
  }

  async #inject(permissions: readonly string[], request: InjectOptions): Promise<LightMyRequestResponse> {
    const key = await this.#keyFor(permissions)
    const own = { 'x-client-key': key, 'x-tenant-code': this.code }
    return this.#access.serving.inject({ ...request, headers: { ...own, ...request.headers } })
  }

  #keyFor(permissions: readonly string[]): Promise<string> {
    const name = permissions.join(' ')
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const created = this.#createKey(permissions)
    this.#keys.set(name, created)
    return created
  }

  async #createKey(permissions: readonly string[]): Promise<string> {
    const answer = await this.#access.operator.inject({
      ...{ method: 'POST', url: `/api/v1/tenants/${this.id}/client-keys` },
      payload: { name: 'test', permissions },
    })
    if (answer.statusCode !== 201)
      throw new Error(`No key for ${permissions.join(', ')}: ${answer.statusCode} ${answer.body}`)
    return answer.json().key
  }
}
