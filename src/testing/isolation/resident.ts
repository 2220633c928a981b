import { randomBytes } from 'node:crypto'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { TestTenant } from '../test-tenant.ts'
import { type Parts, requestOf } from './parts.ts'
import type { TenantRoute } from './routes.ts'
import { type Choice, NoRowYet, objectFor, type Source, valueFor } from './values.ts'

/** What a test knows of a tenant's rows, for examples of its own. */
export interface Own {
  readonly tenant: TestTenant
  /** Ids of the tenant's rows in a collection, the oldest first: `ids('rooms')`. */
  ids(collection: string): readonly string[]
  /** A text that no other tenant uses. Put it where the route takes any text: an answer that shows it to another is a leak. */
  readonly mark: string
}

/** Parts of a request that the schemas of the route do not tell. Those that are left out follow from the schemas. */
export interface Example {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly payload?: unknown
  /** The whole path with prefix and query. */
  readonly url?: string
}

/** By `METHOD /path` as the application declares it. */
export type Examples = Readonly<Record<string, Example | ((own: Own) => Example | Promise<Example>)>>

/** A request that succeeded, with its answer. */
export interface Sent {
  readonly parts: Parts
  readonly answer: LightMyRequestResponse
}

const ANSWERED_WITHIN_MS = 30_000

const CHOICES: readonly Choice[] = [
  { marked: true, whole: true },
  { marked: true, whole: false },
  { marked: false, whole: true },
  { marked: false, whole: false },
]

/** A tenant that uses every route for itself, and remembers what it sent and what it has. */
export class Resident {
  readonly tenant: TestTenant
  readonly mark = `m${randomBytes(5).toString('hex')}`
  /** By route: what succeeded. */
  readonly sent = new Map<string, Sent>()
  /** By route: what would be sent, for those that are to be sent at the end. */
  readonly planned = new Map<string, Parts>()
  /** By route: why it has not succeeded. */
  readonly failed = new Map<string, string>()
  readonly #examples: Examples
  readonly #ids = new Map<string, string[]>()
  readonly #usedKeys: string[] = []
  readonly #borrowed = new Set<string>()
  #texts = 0

  constructor(tenant: TestTenant, examples: Examples) {
    this.tenant = tenant
    this.#examples = examples
    this.#ids.set('tenants', [tenant.id])
  }

  ids(collection: string): readonly string[] {
    return this.#ids.get(collection) ?? []
  }

  /** The first row of each collection, with the collection's name. */
  get firstIds(): [collection: string, id: string][] {
    return [...this.#ids].flatMap(([collection, [id]]) =>
      id === undefined ? [] : [[collection, id] as [string, string]],
    )
  }

  get usedKeys(): readonly string[] {
    return this.#usedKeys
  }

  /** A row that no route of the application makes. */
  know(collection: string, id: string): void {
    this.#ids.set(collection, [...this.ids(collection), id])
  }

  /** Words of other tenants that this one has written into rows of its own. */
  get borrowed(): string {
    return [...this.#borrowed].join(' ')
  }

  borrow(words: readonly string[]): void {
    for (const word of words) this.#borrowed.add(word)
  }

  /** @throws Error where there is no answer in time: a proof that waits for ever would not say for which route */
  async send(request: InjectOptions): Promise<LightMyRequestResponse> {
    const late = Promise.withResolvers<never>()
    const told = () => late.reject(new Error(`${request.method} ${request.url} was not answered within 30 s`))
    const deadline = setTimeout(told, ANSWERED_WITHIN_MS)
    try {
      return await Promise.race([this.tenant.as('*').inject(request), late.promise])
    } finally {
      clearTimeout(deadline)
    }
  }

  /**
   * Sends the route's request until one succeeds: with texts of its own and all fields, with fewer, with the schema's examples.
   * @returns whether one has
   */
  async prove(route: TenantRoute): Promise<boolean> {
    for (const choice of this.#examples[route.key] === undefined ? CHOICES : CHOICES.slice(0, 1)) {
      for (const row of this.#rowsFor(route)) {
        const done = await this.#try(route, { choice, row })
        if (done) return true
      }
    }
    return false
  }

  /** Makes another row, where that can be; not all can. */
  async repeat(route: TenantRoute): Promise<void> {
    const [known, why] = [this.sent.get(route.key), this.failed.get(route.key)]
    await this.prove(route)
    // Of the two the first is what others refer to.
    if (known !== undefined) this.sent.set(route.key, known)
    if (why === undefined) this.failed.delete(route.key)
  }

  /** The parts of a route's request that succeeded, or that would be sent. */
  partsOf({ key }: TenantRoute): Parts | undefined {
    return this.sent.get(key)?.parts ?? this.planned.get(key)
  }

  /** Makes the request of a route without sending it. */
  async plan(route: TenantRoute): Promise<void> {
    const [row = null] = this.#rowsFor(route)
    try {
      this.planned.set(route.key, await this.#partsFor(route, { choice: { marked: true, whole: true }, row }))
    } catch (error) {
      if (!(error instanceof NoRowYet)) throw error
    }
  }

  async #try(route: TenantRoute, at: { choice: Choice; row: string | null }): Promise<boolean> {
    try {
      const parts = await this.#partsFor(route, at)
      const answer = await this.send(requestOf(route, parts))
      if (answer.statusCode < 200 || answer.statusCode > 299) {
        this.failed.set(route.key, `${answer.statusCode} ${answer.body.slice(0, 300)}`)
        return false
      }
      const key = parts.headers['idempotency-key']
      if (key !== undefined) this.#usedKeys.push(key)
      this.failed.delete(route.key)
      this.sent.set(route.key, { parts, answer })
      this.#learn(route, answer)
      return true
    } catch (error) {
      if (!(error instanceof NoRowYet)) throw error
      if (!this.failed.has(route.key)) this.failed.set(route.key, error.message)
      return false
    }
  }

  /** The rows that a path's last id may name, the newest first for deletions; null where the path has none. */
  #rowsFor({ params, method }: TenantRoute): readonly (string | null)[] {
    const last = params.at(-1)
    if (last === undefined) return [null]
    const ids = this.ids(last.collection)
    return ids.length === 0 ? [null] : method === 'DELETE' ? ids.toReversed() : ids
  }

  async #partsFor(
    route: TenantRoute,
    { choice, row }: { choice: Choice; row: string | null },
  ): Promise<Parts> {
    const given = this.#examples[route.key]
    const own: Own = { tenant: this.tenant, ids: (name) => this.ids(name), mark: this.mark }
    const example = typeof given === 'function' ? await given(own) : (given ?? {})
    const at = { source: this.#sourceFor(route), choice }
    const made = example.payload === undefined && route.body !== null && example.url === undefined
    return {
      params: { ...this.#paramsFor(route, row), ...example.params },
      query: example.query ?? this.#queryFor(route, at),
      headers: { ...this.#headersFor(route, at), ...example.headers },
      payload: made && route.body !== null ? valueFor(route.body, '', at) : example.payload,
      ...(example.url !== undefined && { url: example.url }),
    }
  }

  #paramsFor({ params }: TenantRoute, row: string | null): Record<string, string> {
    return Object.fromEntries(
      params.map(({ name, collection }, i) => {
        const id = i === params.length - 1 ? row : this.ids(collection)[0]
        if (id == null) throw new NoRowYet(`there is no row of ${collection} that :${name} could name`)
        return [name, id]
      }),
    )
  }

  /** What a list can be narrowed by would hide its rows. */
  #queryFor({ query }: TenantRoute, at: { source: Source; choice: Choice }): Record<string, string> {
    if (query === null) return {}
    const needed = objectFor(query, { ...at, choice: { ...at.choice, whole: false } })
    const limited = 'limit' in (query.properties ?? {}) ? { limit: '1' } : {}
    return {
      ...Object.fromEntries(Object.entries(needed).map(([name, value]) => [name, String(value)])),
      ...limited,
    }
  }

  #headersFor({ headers }: TenantRoute, at: { source: Source; choice: Choice }): Record<string, string> {
    const needed =
      headers === null ? {} : objectFor(headers, { ...at, choice: { ...at.choice, whole: false } })
    const takesKey = headers !== null && 'idempotency-key' in (headers.properties ?? {})
    const key = takesKey ? { 'idempotency-key': `${this.mark}-${++this.#texts}` } : {}
    return {
      ...Object.fromEntries(Object.entries(needed).map(([name, value]) => [name, String(value)])),
      ...key,
    }
  }

  #sourceFor(route: TenantRoute): Source {
    return {
      text: () => `${this.mark}x${++this.#texts}`,
      idFor: (field) => this.ids(route.collectionOf(field) ?? '')[0] ?? null,
    }
  }

  /** Ids of rows that an answer shows, for the routes that need one. */
  #learn(route: TenantRoute, { headers, payload }: LightMyRequestResponse): void {
    if (!String(headers['content-type']).includes('json') || payload === '') return
    const body = JSON.parse(payload) as { id?: unknown; data?: unknown } | null
    const rows = Array.isArray(body?.data) ? body.data : Array.isArray(body) ? body : [body]
    const known = this.#ids.get(route.collection) ?? []
    for (const row of rows as ({ id?: unknown } | null)[])
      if (typeof row?.id === 'string' && !known.includes(row.id)) known.push(row.id)
    if (known.length > 0) this.#ids.set(route.collection, known)
    if (route.method === 'DELETE') this.#forget(route)
  }

  #forget(route: TenantRoute): void {
    const { params } = this.sent.get(route.key)?.parts ?? {}
    const last = route.params.at(-1)
    if (params === undefined || last === undefined) return
    const left = this.ids(last.collection).filter((id) => id !== params[last.name])
    this.#ids.set(last.collection, left)
  }
}
