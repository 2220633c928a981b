import { expect } from 'vitest'
import { expectProblem } from '../http/support.ts'
import { query, uniqueName } from '../support/database.ts'
import { type Answer, Caller, environmentOf, type Stage, type TestTenant } from '../support/gateway.ts'
import { GatewayProcess } from '../support/gateway-process.ts'
import type { OwnServer } from '../support/second-server.ts'

export const PLACES = '/api/v1/places'

/**
 * A time limit for tenants that the fault does not concern; other tenants wait longer. It is generous, because tests share two
 * cores.
 */
export const UNDISTURBED_MS = 3_000

/** A gateway in a process of its own. A test sees if the process ends. */
export async function startProcess(
  stage: Stage,
  more: Record<string, string> = {},
): Promise<{ process: GatewayProcess; caller: Caller }> {
  const process = new GatewayProcess({ env: environmentOf(stage, more) })
  return { process, caller: new Caller(await process.url(), stage.operatorToken) }
}

/** An ordinary role on a server of this test file, and a function that creates empty databases of this role. */
export async function createOwnerOn(server: OwnServer) {
  const [name, password] = [uniqueName('r'), 'only-for-tests']
  await query(server.superuserUrl, `CREATE ROLE "${name}" LOGIN PASSWORD '${password}'`)
  return {
    createDatabase: async (database = uniqueName()): Promise<{ database: string; url: string }> => {
      await query(server.superuserUrl, `CREATE DATABASE "${database}" OWNER "${name}" TEMPLATE template0`)
      const url = new URL(server.superuserUrl)
      Object.assign(url, { username: name, password, pathname: `/${database}` })
      return { database, url: url.href }
    },
  }
}

export interface Registered {
  readonly caller: Caller
  readonly tenantId: string
  readonly url: string
}

/** Registers a database and expects it to become the tenant database. */
export async function register({ caller, tenantId, url }: Registered, more: object = {}): Promise<void> {
  const { status, placement, lastError } = await caller.registerDatabase(tenantId, url, more)
  expect({ status, placement, lastError }).toEqual({
    ...{ status: 'active', placement: 'dedicated' },
    lastError: null,
  })
}

/** Expects a temporary error: this one, with Retry-After. */
export function expectUnavailable(answer: Answer, code: string): void {
  expectProblem(answer, { status: 503, code })
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(0)
}

/** Creates a place and returns its id. */
export async function makePlace(caller: Caller, { token }: TestTenant, name: string): Promise<string> {
  const { status, body, text } = await caller.call('POST', PLACES, { token, body: { name } })
  expect(status, text).toBe(201)
  return body.id
}

/** A caller that reads and writes without a pause, one request after the other, and records the answers. */
export class Bystander {
  readonly answers: { readonly status: number; readonly text: string; readonly tookMs: number }[] = []
  readonly #done: Promise<void>
  #stopping = false

  constructor(caller: Caller, tenant: TestTenant) {
    this.#done = this.#work(caller, tenant)
  }

  /** Stops it. All its requests must have been answered in time. */
  async expectUndisturbed(): Promise<void> {
    this.#stopping = true
    await this.#done
    expect(this.answers.length).toBeGreaterThan(5)
    expect(this.answers.filter(({ status }) => status !== 200 && status !== 201)).toEqual([])
    expect(Math.max(...this.answers.map(({ tookMs }) => tookMs))).toBeLessThan(UNDISTURBED_MS)
  }

  async #work(caller: Caller, { token }: TestTenant): Promise<void> {
    for (let n = 0; !this.#stopping; n += 1) {
      const begun = performance.now()
      const { status, text } = await (n % 2 === 0
        ? caller.call('GET', `${PLACES}?limit=5`, { token })
        : caller.call('POST', PLACES, { token, body: { name: `Bystander ${n}` } }))
      this.answers.push({ status, text, tookMs: performance.now() - begun })
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
