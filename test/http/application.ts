import { randomUUID } from 'node:crypto'
import { expect } from 'vitest'
import type { TestGateway, TestTenant } from '../support/gateway.ts'
import { API } from './support.ts'

/**
 * One tenant of the reference application: sends requests as its administrator, and creates rows with the rows that they need.
 */
export class Application {
  readonly #gateway: TestGateway
  readonly #tenant: TestTenant

  constructor(gateway: TestGateway, tenant: TestTenant) {
    this.#gateway = gateway
    this.#tenant = tenant
  }

  send(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
    const { token } = this.#tenant
    return this.#gateway.call(method, `${API}/${path}`, {
      ...{ token, headers },
      ...(body !== undefined && { body }),
    })
  }

  /** Sends requests that need more than JSON: forms, and answers that are read as bytes. */
  fetch(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers)
    headers.set('authorization', `Bearer ${this.#tenant.token}`)
    return fetch(`${this.#gateway.url}${API}/${path}`, { ...init, method, headers })
  }

  /** Creates a row and returns it. */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  async make(collection: string, body: object): Promise<any> {
    const answer = await this.send('POST', collection, body)
    expect(answer.status, answer.text).toBe(201)
    return answer.body
  }

  async estate(more: object = {}): Promise<string> {
    const { id: placeId } = await this.make('places', {
      name: 'Mill',
      kind: 'building',
      address: { line1: 'Dijk 1', postalCode: '2611', city: 'Delft', country: 'NL' },
    })
    return (await this.make('estates', { placeId, name: 'Flat 1', ...more })).id
  }

  async lessee(more: object = {}): Promise<string> {
    return (await this.make('lessees', { kind: 'person', name: 'Ada Byron', ...more })).id
  }

  /** The fields of a valid lease. */
  async newLease(more: object = {}) {
    const [estateId, lesseeId] = [await this.estate(), await this.lessee()]
    const terms = { startsOn: '2026-01-01', endsOn: '2026-12-31', rentCents: 120_000, currency: 'EUR' }
    return { estateId, lesseeIds: [lesseeId], ...terms, ...more }
  }

  async lease(more: object = {}): Promise<string> {
    return (await this.make('leases', await this.newLease(more))).id
  }

  async document(more: object = {}): Promise<string> {
    return (
      await this.make('documents', { leaseId: await this.lease(), title: 'Lease of the flat', ...more })
    ).id
  }

  async signature(more: object = {}): Promise<string> {
    const documentId = await this.document()
    const signer = { signerName: 'Ada Byron', signerEmail: 'ada@example.com' }
    return (await this.make('signatures', { documentId, ...signer, ...more })).id
  }

  async buy(amount: number, paymentReference: string = randomUUID()) {
    return this.send('POST', 'credits', { amount, paymentReference })
  }
}
