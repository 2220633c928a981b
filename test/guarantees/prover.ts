import { randomUUID } from 'node:crypto'
import { findIsolationViolations } from '../../src/residence/isolation.ts'
import { exampleOf, type JsonSchema, typesOf } from '../../src/testing/isolation/examples.ts'
import { telling } from '../http/support.ts'
import { property } from '../support/application.ts'
import type { Answer, TestGateway, TestTenant } from '../support/gateway.ts'
import { withClient } from '../support/tenant-database.ts'

/** The parts of the OpenAPI document that contain ids. */
export interface ApiDocument {
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: {
    readonly schemas: Record<string, JsonSchema>
    readonly parameters: Record<string, Parameter>
  }
}

interface Parameter {
  readonly in: 'path' | 'query' | 'header'
  readonly name: string
  readonly schema: JsonSchema
  readonly $ref?: string
}

interface Operation {
  readonly parameters?: readonly Parameter[]
  readonly requestBody?: {
    readonly content: Record<string, { readonly schema: JsonSchema & { $ref?: string } }>
  }
}

/** The rows of a tenant: at least one id for each collection, by the collection's name. */
export type Rows = ReadonlyMap<string, readonly string[]>

/** A place in an operation that takes an id. */
interface Attempt {
  readonly name: string
  readonly ids: readonly string[]
  send(id: string): Promise<Answer>
}

interface Proven {
  readonly gateway: TestGateway
  readonly document: ApiDocument
  /** The databases of attacker and victim, by the names that the report uses. */
  readonly databases: Readonly<Record<string, string>>
  /** The collections whose paths are tried. All if absent. */
  readonly only?: readonly string[]
}

/**
 * Puts the ids of another tenant's rows into every place of every operation that takes an id. Also checks that the policies of
 * the databases would hold if a statement did not name the tenant. There are two protections, and both must work.
 */
export class Prover {
  readonly #gateway: TestGateway
  readonly #document: ApiDocument
  readonly #databases: Proven['databases']
  readonly #only: Proven['only']
  readonly #attacker: { readonly tenant: TestTenant; readonly rows: Rows }

  constructor({ gateway, document, databases, only }: Proven, attacker: { tenant: TestTenant; rows: Rows }) {
    this.#gateway = gateway
    this.#document = document
    this.#databases = databases
    this.#only = only
    this.#attacker = attacker
  }

  /** Tenants are isolated if there is no leak and every database keeps every rule of isolation. */
  async prove(victim: Rows): Promise<{ tried: string[]; leaks: string[]; violations: string[] }> {
    const violations = await this.#violations()
    return { ...(await this.findLeaks(victim)), violations }
  }

  /** How the answer reveals that a row exists: the difference from the answer to an id that no row has. */
  async findLeaks(victim: Rows): Promise<{ tried: string[]; leaks: string[] }> {
    const tried: string[] = []
    const leaks: string[] = []
    for (const { name, ids, send } of this.#attempts(victim)) {
      tried.push(name)
      for (const id of ids) {
        const [shown, blank] = [await this.#seen(send, id), await this.#seen(send, randomUUID())]
        if (shown !== blank) leaks.push(`${name}: ${shown} instead of ${blank}`)
      }
    }
    // A caller who is refused everything learns nothing, and proves nothing.
    const { status } = await this.#send('GET', '/api/v1/tenant')
    if (status !== 200) throw new Error(`the attacker was shut out on the way: ${status}`)
    return { tried, leaks }
  }

  async #violations(): Promise<string[]> {
    const found = await Promise.all(
      Object.entries(this.#databases).map(async ([name, url]) => {
        const violations = await withClient(url, (client) =>
          findIsolationViolations(client, { everything: true, tables: property }),
        )
        return violations.map(({ object, rule }) => `${name}: ${rule} at ${object}`)
      }),
    )
    return found.flat()
  }

  async #seen(send: Attempt['send'], id: string): Promise<string> {
    return JSON.stringify(telling(await send(id))).replaceAll(id, '…')
  }

  #attempts(victim: Rows): Attempt[] {
    const paths = Object.entries(this.#document.paths).filter(
      ([path]) => this.#only?.includes(path.split('/')[3] ?? '') ?? true,
    )
    return paths.flatMap(([path, operations]) =>
      Object.entries(operations).flatMap(([method, operation]) => {
        const target = { method: method.toUpperCase(), path, operation, victim }
        return [
          ...this.#inPath(target),
          ...this.#inQuery(target),
          ...this.#inBody(target),
          ...this.#inHeader(target),
        ]
      }),
    )
  }

  #inPath({ method, path, operation, victim }: Target): Attempt[] {
    if (!path.includes('{')) return []
    const body = this.#bodyOf(operation)
    const [, collection = ''] = /^\/api\/v1\/([^/]+)/.exec(path) ?? []
    return [
      {
        name: `${method} ${path}`,
        ids: idsOf(victim, collection),
        send: (id) =>
          this.#send(method, path.replace(/\{\w+\}/g, id), { ...(body && { body: body.example }) }),
      },
    ]
  }

  #inQuery({ method, path, operation, victim }: Target): Attempt[] {
    const named = this.#parametersOf(operation).filter((p) => p.in === 'query' && p.schema.format === 'uuid')
    return named.map(({ name }) => ({
      name: `${method} ${path}?${name}`,
      ids: idsOf(victim, collectionOf(name)),
      send: (id: string) => this.#send(method, `${path}?${name}=${id}`),
    }))
  }

  #inBody({ method, path, operation, victim }: Target): Attempt[] {
    const body = this.#bodyOf(operation)
    if (body === null) return []
    const own = path.replace(
      /\{\w+\}/g,
      () => this.#attacker.rows.get(path.split('/')[3] ?? '')?.[0] ?? randomUUID(),
    )
    return body.references.map((name) => ({
      name: `${method} ${path} /${name}`,
      ids: idsOf(victim, collectionOf(name)),
      send: (id: string) =>
        this.#send(method, own, { body: { ...body.example, [name]: name.endsWith('Ids') ? [id] : id } }),
    }))
  }

  #inHeader({ method, path, operation, victim }: Target): Attempt[] {
    const actsFor = operation.parameters?.find(({ $ref }) => $ref === '#/components/parameters/act-for')
    if (actsFor === undefined || method !== 'GET') return []
    const header = this.#document.components.parameters['act-for']?.name ?? ''
    const own = path.replace(/\{\w+\}/g, () => randomUUID())
    return [
      {
        name: `${method} ${path} ${header}`,
        ids: idsOf(victim, 'tenants'),
        send: (id) => this.#send(method, own, { headers: { [header]: id } }),
      },
    ]
  }

  #send(method: string, path: string, call: { body?: unknown; headers?: Record<string, string> } = {}) {
    return this.#gateway.call(method, path, { token: this.#attacker.tenant.token, ...call })
  }

  #parametersOf({ parameters = [] }: Operation): Parameter[] {
    const named = this.#document.components.parameters
    return parameters.map((given) => named[given.$ref?.split('/').at(-1) ?? ''] ?? given)
  }

  /** A valid body whose references are the attacker's own rows, and the names of these references. */
  #bodyOf({ requestBody }: Operation): { example: Record<string, unknown>; references: string[] } | null {
    const named = requestBody?.content['application/json']?.schema
    if (named === undefined) return null
    const schema = this.#document.components.schemas[named.$ref?.split('/').at(-1) ?? ''] ?? named
    const references = Object.entries(schema.properties ?? {}).flatMap(([name, part]) =>
      part.format === 'uuid' || part.items?.format === 'uuid' ? [name] : [],
    )
    const example = exampleOf(schema) as Record<string, unknown>
    for (const name of references) {
      const [own] = this.#attacker.rows.get(collectionOf(name)) ?? []
      if (own === undefined) delete example[name]
      else example[name] = name.endsWith('Ids') ? [own] : own
    }
    return {
      example,
      references: references.filter((name) => typesOf(schema.properties?.[name] ?? {}).length > 0),
    }
  }
}

interface Target {
  readonly method: string
  readonly path: string
  readonly operation: Operation
  readonly victim: Rows
}

/** `placeId` → places, `lesseeIds` → lessees. */
export function collectionOf(field: string): string {
  return `${field.replace(/Ids?$/, '')}s`
}

/** The matching rows, or all rows if none match. */
function idsOf(rows: Rows, collection: string): readonly string[] {
  return rows.get(collection) ?? [...rows.values()].flat()
}
