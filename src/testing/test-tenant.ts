import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { Tenant } from '../application.ts'
import type { Injector, Serving } from './serving.ts'

/** Where a tenant's rows are. */
export type Placement = 'shared' | 'dedicated'

interface Facts {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly placement: Placement
}

export interface TenantHome {
  readonly serving: Serving
  readonly operator: Injector
  /** Where its rows are at first. */
  readonly databaseUrl: string
}

/** A tenant of a test gateway. */
export class TestTenant {
  readonly id: string
  readonly code: string
  readonly name: string
  readonly placement: Placement
  readonly #home: TenantHome
  /** Client keys, by the permissions that they have. */
  readonly #keys = new Map<string, Promise<string>>()
  #databaseUrl: string

  constructor(home: TenantHome, { id, code, name, placement }: Facts) {
    this.#home = home
    this.id = id
    this.code = code
    this.name = name
    this.placement = placement
    this.#databaseUrl = home.databaseUrl
  }

  /** Where its rows are, as the role that owns the tables. */
  get databaseUrl(): string {
    return this.#databaseUrl
  }

  /** Called once the tenant lives in a database of its own. */
  useDatabase(databaseUrl: string): void {
    this.#databaseUrl = databaseUrl
  }

  /** Sends requests as a program of the tenant that has these permissions and no others. */
  as(permissions: string | readonly string[]): Injector {
    const list = [...new Set([permissions].flat())].sort()
    return { inject: (request) => this.#inject(list, request) }
  }

  /** Works in the tenant without HTTP, as `gateway.tenants.run` does. */
  run<T>(fn: (tenant: Tenant) => Promise<T>): Promise<T> {
    return this.#home.serving.gateway.tenants.run(this.code, fn, { actor: 'test' })
  }

  async #inject(permissions: readonly string[], request: InjectOptions): Promise<LightMyRequestResponse> {
    const key = await this.#keyFor(permissions)
    const own = { 'x-client-key': key, 'x-tenant-code': this.code }
    return this.#home.serving.inject({ ...request, headers: { ...own, ...request.headers } })
  }

  #keyFor(permissions: readonly string[]): Promise<string> {
    const name = permissions.join(' ')
    const known = this.#keys.get(name)
    if (known !== undefined) return known
    const made = this.#makeKey(permissions)
    this.#keys.set(name, made)
    return made
  }

  async #makeKey(permissions: readonly string[]): Promise<string> {
    const answer = await this.#home.operator.inject({
      ...{ method: 'POST', url: `/api/v1/tenants/${this.id}/client-keys` },
      payload: { name: 'test', permissions },
    })
    if (answer.statusCode !== 201)
      throw new Error(`No key for ${permissions.join(', ')}: ${answer.statusCode} ${answer.body}`)
    return answer.json().key
  }
}
