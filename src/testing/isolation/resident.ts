import { randomBytes } from 'node:crypto'
import type { InjectOptions, LightMyRequestResponse } from 'fastify'
import type { TestTenant } from '../test-tenant.ts'
import { type Parts, requestOf } from './parts.ts'
import type { TenantRoute } from './routes.ts'
import { type Choice, NoRowYet, objectFor, type Source, valueFor } from './values.ts'

/** A tenant and its rows, for examples that a test computes. */
export interface Own {
  readonly tenant: TestTenant
  /** Ids of the tenant's rows in a collection, the oldest first: `ids('rooms')`. */
  ids(collection: string): readonly string[]
  /** A text that no other tenant uses. Put it into fields that take any text: if another tenant is shown it, that is a leak. */
  readonly mark: string
}

/** Parts of a request that do not follow from the schemas of the route. Parts that are left out are made from the schemas. */
export interface Example {
  readonly params?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  readonly payload?: unknown
  /** The whole path, with prefix and query. */
  readonly url?: string
}

/** By `METHOD /path` as the application declares it. */
export type Examples = Readonly<Record<string, Example | ((own: Own) => Example | Promise<Example>)>>

/** A request that succeeded, with its answer. */
export interface Sent {
  readonly parts: Parts
  readonly answer: LightMyRequestResponse
}

const ANSWER_TIMEOUT_MS = 30_000

const CHOICES: readonly Choice[] = [
  { marked: true, whole: true },
  { marked: true, whole: false },
  { marked: false, whole: true },
  { marked: false, whole: false },
]

/** A tenant that calls every route for itself, and remembers its requests and its rows. */
export class Resident {
  readonly tenant: TestTenant
  readonly mark = `m${randomBytes(5).toString('hex')}`
  /** By route: the request that succeeded. */
  readonly sent = new Map<string, Sent>()
  /** By route: the request that is sent at the end. */
  readonly planned = new Map<string, Parts>()
  /** By route: the reason why it has not succeeded. */
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

  /** Adds a row that no route of the application creates. */
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

  /** @throws Error if there is no answer in time. A proof that waited for ever would not tell the route. */
  async send(request: InjectOptions): Promise<LightMyRequestResponse> {
    const late = Promise.withResolvers<never>()
    const refuse = () =>
      late.reject(new Error(`${request.method} ${request.url} was not answered within 30 s`))
    const deadline = setTimeout(refuse, ANSWER_TIMEOUT_MS)
    try {
      return await Promise.race([this.tenant.as('*').inject(request), late.promise])
    } finally {
      clearTimeout(deadline)
    }
  }

  /**
   * Sends requests to the route until one succeeds: with the tenant's own texts or the schema's examples, and with all fields or
   * only the required ones.
   * @returns true if one succeeded
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

  /** Creates another row. Not every route allows that. */
  async repeat(route: TenantRoute): Promise<void> {
    const [known, why] = [this.sent.get(route.key), this.failed.get(route.key)]
    await this.prove(route)
    // Other rows refer to the first of the two.
    if (known !== undefined) this.sent.set(route.key, known)
    if (why === undefined) this.failed.delete(route.key)
  }

  /** The parts of the route's request that succeeded or is planned. */
  partsOf({ key }: TenantRoute): Parts | undefined {
    return this.sent.get(key)?.parts ?? this.planned.get(key)
  }

  /** Builds the request of a route without sending it. */
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

  /** The rows that the last id in a path may name, the newest first for deletions. Null if the path has no id. */
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

  /** Only required parameters: a filter would hide rows of the list. */
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

  /** Remembers the ids of rows in an answer, for the routes that need one. */
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
