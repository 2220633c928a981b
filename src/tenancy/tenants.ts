import type { EachOptions, EachOutcome, RunOptions, Tenant, Tenants } from '../application.ts'
import { type Actor, systemActor } from '../catalog/audit/entries.ts'
import type { Freshness } from '../catalog/changes/freshness.ts'
import type { Route, RouteDirectory } from '../catalog/directory.ts'
import { fail } from '../errors.ts'
import { PermissionSet } from '../identity/access/permissions.ts'
import { typedCode } from '../identity/people/names.ts'
import { isUuid } from '../lib/ids.ts'
import type { TenantSession } from '../sql/session.ts'
import type { OwnSchema } from './own-schema.ts'
import { type TenantAndPrincipal, type ViewParts, viewOverSession } from './tenant-view.ts'

export interface TenantsDeps {
  readonly schema: OwnSchema
  readonly directory: Pick<RouteDirectory, 'byId' | 'byCode'>
  readonly freshness: Pick<Freshness, 'isOver' | 'renew'>
  readonly sessions: { open(route: Route, options: { readonly ownSql: true }): TenantSession }
  readonly note: ViewParts['note']
  /** A page of the active tenants, always in the same order. */
  readonly list: (
    cursor: string | undefined,
  ) => Promise<{ data: { id: string }[]; nextCursor: string | null }>
  readonly log: { warn(fields: object, message: string): void }
  /** @throws Error unless the gateway has started and is not closing */
  readonly assertServing: () => void
}

const DEFAULT_CONCURRENCY = 4
const MAX_CONCURRENCY = 64
const MAX_ACTOR_LENGTH = 200
const EVERYTHING = new PermissionSet(['*'])

/** Work in tenants without a request. Running work is counted, so that a close can wait for it. */
export class TenantWork implements Tenants {
  readonly #deps: TenantsDeps
  readonly #running = new Set<Promise<unknown>>()

  constructor(deps: TenantsDeps) {
    this.#deps = deps
  }

  async run<T>(codeOrId: string, fn: (tenant: Tenant) => Promise<T>, { actor }: RunOptions): Promise<T> {
    const by = actorFor(actor)
    this.#deps.assertServing()
    const { directory } = this.#deps
    const id = isUuid(codeOrId)
    return this.#count(
      this.#within(() => (id ? directory.byId(codeOrId) : directory.byCode(typedCode(codeOrId))), fn, by),
    )
  }

  async each(fn: (tenant: Tenant) => Promise<unknown>, options: EachOptions): Promise<EachOutcome> {
    const by = actorFor(options.actor)
    const workers = concurrencyOf(options)
    this.#deps.assertServing()
    const failed: EachOutcome['failed'][number][] = []
    let succeeded = 0
    const tenants = this.#active(options.signal)
    const work = async () => {
      for await (const route of tenants) {
        try {
          await this.#within(() => this.#deps.directory.byId(route.tenantId), fn, by)
          succeeded += 1
        } catch (error) {
          const { tenantId, code, name } = route
          failed.push({ tenant: { id: tenantId, code, name }, error })
          this.#deps.log.warn({ tenantId, actor: by.id, err: error }, 'work in a tenant failed')
        }
      }
    }
    await this.#count(Promise.all(Array.from({ length: workers }, work)))
    return { succeeded, failed }
  }

  /** Resolves when no work is running. */
  async drain(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running)
  }

  async #within<T>(
    find: () => Promise<Route | null>,
    fn: (tenant: Tenant) => Promise<T>,
    actor: Actor,
  ): Promise<T> {
    const { schema, freshness, sessions, note } = this.#deps
    if (freshness.isOver) await freshness.renew()
    const route = await find()
    if (route === null || route.status !== 'ACTIVE') throw fail('TENANT_NOT_FOUND')
    const session = sessions.open(route, { ownSql: true })
    return fn(viewOverSession(tenantAndPrincipalOf(route, actor), { schema, note, open: () => session }))
  }

  /** Several workers read from it, and each gets the next tenant. Tenants that are not active any more are skipped. */
  async *#active(signal: AbortSignal | undefined): AsyncGenerator<Route, void> {
    let cursor: string | undefined
    do {
      const page = await this.#deps.list(cursor)
      for (const { id } of page.data) {
        if (signal?.aborted) return
        this.#deps.assertServing()
        const route = await this.#deps.directory.byId(id)
        if (route?.status === 'ACTIVE') yield route
      }
      cursor = page.nextCursor ?? undefined
    } while (cursor !== undefined)
  }

  async #count<T>(work: Promise<T>): Promise<T> {
    this.#running.add(work)
    try {
      return await work
    } finally {
      this.#running.delete(work)
    }
  }
}

function actorFor(actor: string): Actor {
  if (typeof actor !== 'string' || actor.trim() === '' || actor.length > MAX_ACTOR_LENGTH)
    throw new TypeError(
      `actor must be a text of 1 to ${MAX_ACTOR_LENGTH} characters: the actor in the audit log`,
    )
  return systemActor(
    actor
      .toWellFormed()
      .replaceAll(/\p{Cc}/gu, ' ')
      .trim(),
  )
}

function concurrencyOf({ concurrency = DEFAULT_CONCURRENCY }: EachOptions): number {
  if (!Number.isInteger(concurrency) || concurrency < 1 || concurrency > MAX_CONCURRENCY)
    throw new TypeError(`concurrency must be a whole number from 1 to ${MAX_CONCURRENCY}`)
  return concurrency
}

function tenantAndPrincipalOf({ tenantId, code, name }: Route, actor: Actor): TenantAndPrincipal {
  const principal = Object.freeze({
    ...{ kind: 'system', id: actor.id, tenantId, roles: [], permissions: EVERYTHING },
  } as const)
  return { id: tenantId, code, name, principal, actingFor: null, actor }
}
