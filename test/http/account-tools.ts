import { expect } from 'vitest'
import type { TestGateway, TestTenant } from '../support/gateway.ts'
import { API } from './support.ts'

export const PASSWORD = 'a long enough password'

type Memberships = readonly { tenant: TestTenant; roles: readonly string[] }[]

export interface TestAccount {
  readonly id: string
  readonly email: string
}

interface More {
  readonly method?: string
  readonly path?: string
  readonly body?: object
}

/** Requests about accounts that tests send to one gateway. */
export class AccountTools {
  readonly #gateway: TestGateway
  #made = 0

  constructor(gateway: TestGateway) {
    this.#gateway = gateway
  }

  newEmail(): string {
    this.#made += 1
    return `person${this.#made}@firm.example`
  }

  /** As the tenant's administrator. */
  async defineRole(
    { token }: TestTenant,
    { name, permissions }: { name: string; permissions: readonly string[] },
  ): Promise<string> {
    const body = { name, permissions }
    const answer = await this.#gateway.call('POST', `${API}/roles`, { token, body })
    expect(answer.status, answer.text).toBe(201)
    return answer.body.id
  }

  async create(memberships: Memberships, more: object = {}): Promise<TestAccount> {
    const { status, body, text } = await this.#gateway.operator('POST', '/accounts', {
      ...{ email: this.newEmail(), password: PASSWORD },
      memberships: memberships.map(({ tenant, roles }) => ({ tenantId: tenant.id, roles })),
      ...more,
    })
    expect(status, text).toBe(201)
    return body
  }

  tryLogin(email: string, password = PASSWORD) {
    return this.#gateway.call('POST', `${API}/auth/accounts/login`, { body: { email, password } })
  }

  async login({ email }: { email: string }): Promise<string> {
    const { status, body, text } = await this.tryLogin(email)
    expect(status, text).toBe(200)
    return body.accessToken
  }

  /** Creates an account with exactly these memberships, and signs in. */
  async member(memberships: Memberships, more: object = {}): Promise<TestAccount & { token: string }> {
    const account = await this.create(memberships, more)
    return { ...account, token: await this.login(account) }
  }

  /** With the token. `code` is the value of X-Tenant-Code. */
  call(token: string, code: string | null, { method = 'GET', path = '/places', body }: More = {}) {
    const headers = code === null ? {} : { 'x-tenant-code': code }
    return this.#gateway.call(method, `${API}${path}`, { token, headers, ...(body && { body }) })
  }
}
