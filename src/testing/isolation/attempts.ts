import { leavesOf, type Parts, replaced } from './parts.ts'
import type { Resident } from './resident.ts'
import type { TenantRoute } from './routes.ts'

/** A request of one tenant that names something that belongs to another. */
export interface Attempt {
  /** What the request names, for the report. */
  readonly by: string
  readonly parts: Parts
  /** The other tenant's id, and the same request with any id. Different answers tell that another tenant has the id. */
  readonly id?: { readonly value: string; readonly parts: (id: string) => Parts }
}

/** The two tenants, and the headers that handlers have read. */
export interface Sides {
  readonly attacker: Resident
  readonly victim: Resident
  readonly headersRead: readonly string[]
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Headers that name a tenant in other systems. */
const USUAL_HEADERS = [
  ...['x-tenant', 'x-tenant-id', 'tenant', 'tenant-id', 'x-tenant-name', 'x-org-id', 'x-organization-id'],
  ...['x-customer-id', 'x-company-id', 'x-account', 'x-workspace-id', 'x-site-id', 'x-forwarded-host'],
]
/** The core itself decides on these, before any handler runs. */
const CORE_HEADERS = ['x-tenant-code', 'x-account-id']
/** These do not name a tenant, or the core alone reads them. */
const NEUTRAL_HEADERS = new Set([
  ...['host', 'user-agent', 'accept', 'accept-encoding', 'accept-language', 'content-type', 'content-length'],
  ...['connection', 'authorization', 'x-client-key', 'transfer-encoding', 'range', 'if-range', 'origin'],
  ...['if-match', 'if-none-match', 'if-modified-since', 'if-unmodified-since', 'idempotency-key'],
])
const USUAL_FIELDS = ['tenantId', 'tenant_id', 'tenantCode', 'tenant']
const MAX_LEAVES = 12

/** All requests to a route that name something of the victim's. */
export function attemptsOn(route: TenantRoute, sides: Sides, isThorough: boolean): Attempt[] {
  const own = sides.attacker.partsOf(route)
  const theirs = sides.victim.partsOf(route)
  if (own === undefined || theirs === undefined) return []
  // With a used Idempotency-Key the gateway would repeat the former answer, or refuse another request.
  const at = { route, sides, own: withoutKey(own), theirs: withoutKey(theirs) }
  return [
    { by: 'the request of the other tenant', parts: at.theirs },
    { by: 'the request of the other tenant, with its Idempotency-Key', parts: theirs },
    ...idsInPath(at),
    ...idsInBody(at),
    ...inQuery(at),
    ...conditions(at),
    ...(isThorough ? [...inHeaders(at), ...tenantInBody(at)] : []),
  ]
}

interface At {
  readonly route: TenantRoute
  readonly sides: Sides
  readonly own: Parts
  readonly theirs: Parts
}

/** The attacker's own request, with the id of each of the victim's rows in the collection. */
function idsInPath({ route, sides, own, theirs }: At): Attempt[] {
  return route.params.flatMap(({ name, collection }) => {
    const ids = new Set([theirs.params[name] ?? '', ...sides.victim.ids(collection)])
    return [...ids]
      .filter((id) => id !== '')
      .map((value) => {
        const parts = (id: string) => ({ ...own, params: { ...own.params, [name]: id } })
        return {
          by: `the id :${name}`,
          parts: parts(value),
          ...(UUID.test(value) && { id: { value, parts } }),
        }
      })
  })
}

/** The attacker's own request, with one reference replaced at a time. */
function idsInBody({ route, sides, own, theirs }: At): Attempt[] {
  const base = baseOf(route, own, theirs)
  return leavesOf(own.payload)
    .slice(0, MAX_LEAVES)
    .flatMap(({ path, text }): Attempt[] => {
      if (!UUID.test(text)) return []
      const field = path.findLast((part) => !/^\d+$/.test(part)) ?? ''
      const there = leavesOf(theirs.payload).find((leaf) => leaf.path.join() === path.join())
      const value = there?.text ?? sides.victim.ids(route.collectionOf(field) ?? '')[0]
      if (value === undefined) return []
      const parts = (id: string) => ({ ...base, payload: replaced(own.payload, path, id) })
      return [{ by: `the reference /${path.join('/')}`, parts: parts(value), id: { value, parts } }]
    })
}

function inQuery({ route, sides, own, theirs }: At): Attempt[] {
  const base = baseOf(route, own, theirs)
  const withQuery = (query: Record<string, string>) => ({ ...base, query: { ...base.query, ...query } })
  const declared = Object.entries(route.query?.properties ?? {}).flatMap(([name, schema]): Attempt[] => {
    if (name === 'cursor')
      return cursorsOf(route, sides).map((cursor) => ({ by: 'a cursor', parts: withQuery({ cursor }) }))
    if (schema.format !== 'uuid') return []
    const value = sides.victim.ids(route.collectionOf(name) ?? '')[0]
    if (value === undefined) return []
    return [
      {
        by: `the query ${name}`,
        parts: withQuery({ [name]: value }),
        id: { value, parts: (id) => withQuery({ [name]: id }) },
      },
    ]
  })
  const texts = Object.keys(own.query).flatMap((name) =>
    namesOf(sides.victim).map((value) => ({ by: `the query ${name}`, parts: withQuery({ [name]: value }) })),
  )
  const { id, code } = sides.victim.tenant
  const usual = Object.fromEntries(
    USUAL_FIELDS.map((name) => [name, /code|^tenant$/i.test(name) ? code : id]),
  )
  return [...declared, ...texts, { by: 'a query that names a tenant', parts: withQuery(usual) }]
}

function cursorsOf(route: TenantRoute, { victim }: Sides): string[] {
  const answer = victim.sent.get(route.key)?.answer
  const cursor = /"nextCursor":"([^"]+)"/.exec(answer?.body ?? '')?.[1]
  return cursor === undefined ? [] : [cursor]
}

/** The victim's ETag, and its used Idempotency-Keys. */
function conditions({ route, sides, own, theirs }: At): Attempt[] {
  const base = baseOf(route, own, theirs)
  const tag = sides.victim.sent.get(route.key)?.answer.headers.etag
  const withHeader = (name: string, value: string) => ({
    ...base,
    headers: { ...base.headers, [name]: value },
  })
  const tags =
    typeof tag === 'string'
      ? ['if-match', 'if-none-match'].map((name) => ({
          by: `an ETag in ${name}`,
          parts: withHeader(name, tag),
        }))
      : []
  const keys =
    route.headers?.properties?.['idempotency-key'] === undefined ? [] : sides.victim.usedKeys.slice(0, 3)
  return [
    ...tags,
    ...keys.map((key) => ({ by: 'an Idempotency-Key', parts: withHeader('idempotency-key', key) })),
  ]
}

/**
 * The victim's own request with more headers. If a handler lets a header choose the tenant, it then finds the rows that the request
 * names.
 */
function inHeaders({ route, sides, theirs }: At): Attempt[] {
  const declared = Object.keys(route.headers?.properties ?? {}).map((name) => name.toLowerCase())
  const read = sides.headersRead.filter((name) => !NEUTRAL_HEADERS.has(name))
  const single = [
    ...new Set([...declared.filter((name) => !NEUTRAL_HEADERS.has(name)), ...read, ...CORE_HEADERS]),
  ]
  const withHeaders = (headers: Record<string, string>) => ({
    ...theirs,
    headers: { ...theirs.headers, ...headers },
  })
  const values = (name: string) =>
    CORE_HEADERS.includes(name)
      ? namesOf(sides.victim)
      : [...namesOf(sides.victim), ...sides.victim.firstIds.map(([, id]) => id)]
  const each = single.flatMap((name) =>
    values(name).map((value) => ({ by: `the header ${name}`, parts: withHeaders({ [name]: value }) })),
  )
  const all = namesOf(sides.victim).map((value) => ({
    by: 'a header that names a tenant',
    parts: withHeaders({
      ...Object.fromEntries(USUAL_HEADERS.map((name) => [name, value])),
      cookie: `tenant=${value}`,
    }),
  }))
  return [...each, ...all]
}

/** The body with one text replaced at a time, and with fields that no schema declares. */
function tenantInBody({ route, sides, own, theirs }: At): Attempt[] {
  const base = baseOf(route, own, theirs)
  const texts = leavesOf(own.payload)
    .slice(0, MAX_LEAVES)
    .flatMap(({ path }) =>
      namesOf(sides.victim).map((value) => ({
        by: `the field /${path.join('/')}`,
        parts: { ...base, payload: replaced(own.payload, path, value) },
      })),
    )
  const { payload } = own
  if (typeof payload !== 'object' || payload === null || Array.isArray(payload) || Buffer.isBuffer(payload))
    return texts
  const { id, code } = sides.victim.tenant
  const usual = Object.fromEntries(
    USUAL_FIELDS.map((name) => [name, /code|^tenant$/i.test(name) ? code : id]),
  )
  return [
    ...texts,
    { by: 'a field that names a tenant', parts: { ...base, payload: { ...payload, ...usual } } },
  ]
}

/** A deletion of the attacker's row would remove what the next attempt needs, so deletions name only the victim's rows. */
function baseOf({ method }: TenantRoute, own: Parts, theirs: Parts): Parts {
  return method === 'DELETE' ? theirs : own
}

function withoutKey({ headers, ...parts }: Parts): Parts {
  const { 'idempotency-key': _key, ...left } = headers
  return { ...parts, headers: left }
}

function namesOf({ tenant }: Resident): string[] {
  return [tenant.id, tenant.code]
}
