import { getTableColumns } from 'drizzle-orm'
import { getTableConfig } from 'drizzle-orm/pg-core'
import type { RouteOptions } from 'fastify'
import type { Application } from '../../application.ts'
import type { Resource } from '../../collections/define-resource.ts'
import type { JsonSchema } from './examples.ts'

/** A route that tenants call, with the data that the proof needs. */
export interface TenantRoute {
  /** Its name in examples and reports, without the prefix: `POST /bookings/:id/cancel`. */
  readonly key: string
  readonly method: string
  /** As declared, with the prefix. */
  readonly url: string
  /** The parameters of the path, each with the collection before it. */
  readonly params: readonly { readonly name: string; readonly collection: string }[]
  readonly query: JsonSchema | null
  readonly headers: JsonSchema | null
  readonly body: JsonSchema | null
  /** The collection of the rows in its answers, by the path. */
  readonly collection: string
  /** The collection of the rows that a field refers to. */
  collectionOf(field: string): string | null
}

const PREFIX = '/api/v1'

/** The routes of an application that tenants call, and the keys of the others. */
export function tenantRoutes(
  application: Application,
  declared: readonly RouteOptions[],
): { routes: TenantRoute[]; others: string[] } {
  const isTenants = (route: RouteOptions) => route.config?.access?.kind === 'tenant'
  // The handler of GET also answers HEAD.
  const isRead = (url: string) => declared.some((route) => route.method === 'GET' && route.url === url)
  const distinct = declared.filter(({ method, url }) => method !== 'HEAD' || !isRead(url))
  const collections = collectionsIn(application, distinct)
  return {
    routes: distinct.filter(isTenants).map((route) => routeOf(route, { application, collections })),
    others: distinct.filter((route) => !isTenants(route)).map(keyOf),
  }
}

interface Known {
  readonly application: Application
  readonly collections: readonly string[]
}

function routeOf(route: RouteOptions, known: Known): TenantRoute {
  const { querystring, headers, body } = (route.schema ?? {}) as Record<string, JsonSchema | undefined>
  const segments = segmentsOf(route.url)
  const resource = known.application.resources.find(({ name }) => name === segments[0])
  const params = segments.flatMap((segment, i) =>
    segment.startsWith(':') ? [{ name: segment.slice(1), collection: segments[i - 1] ?? '' }] : [],
  )
  const foreign =
    resource === undefined ? new Map<string, string>() : foreignKeysOf(resource, known.application)
  return {
    ...{ key: keyOf(route), method: String(route.method), url: route.url, params },
    query: querystring ?? null,
    headers: headers ?? null,
    body: body ?? null,
    collection: segments.findLast((segment) => !segment.startsWith(':')) ?? '',
    collectionOf: (field) => foreign.get(field) ?? byName(field, known.collections),
  }
}

function keyOf({ method, url }: RouteOptions): string {
  return `${String(method)} ${url.startsWith(PREFIX) ? url.slice(PREFIX.length) : url}`
}

function segmentsOf(url: string): string[] {
  return url
    .slice(url.startsWith(PREFIX) ? PREFIX.length : 0)
    .split('/')
    .filter((part) => part !== '')
}

function collectionsIn({ resources }: Application, declared: readonly RouteOptions[]): string[] {
  const paths = declared.flatMap(({ url }) => segmentsOf(url).filter((part) => !part.startsWith(':')))
  return [...new Set([...resources.map(({ name }) => name), ...paths, 'tenants', 'users', 'roles'])]
}

/** From the foreign keys of the resource's table: the collection that each field refers to. */
function foreignKeysOf({ table }: Resource, { resources }: Application): Map<string, string> {
  const fieldOf = new Map(Object.entries(getTableColumns(table)).map(([field, { name }]) => [name, field]))
  const found = new Map<string, string>()
  for (const key of getTableConfig(table).foreignKeys) {
    const { columns, foreignTable } = key.reference()
    const name = resources.find((resource) => resource.table === foreignTable)?.name
    const target = name ?? getTableConfig(foreignTable).name
    for (const column of columns) {
      const field = fieldOf.get(column.name)
      if (field !== undefined && field !== 'tenantId') found.set(field, target)
    }
  }
  return found
}

/** `roomId`, `room_id` and `roomIds` refer to `rooms`. */
function byName(field: string, collections: readonly string[]): string | null {
  const [, word = ''] = /^(.+?)_?(?:Ids?|ids?|ID)$/.exec(field) ?? []
  const kebab = word
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase()
    .replaceAll('_', '-')
  const plurals = [kebab, `${kebab}s`, `${kebab}es`, kebab.replace(/y$/, 'ies')]
  return kebab === '' ? null : (collections.find((name) => plurals.includes(name)) ?? null)
}
