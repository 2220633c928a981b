import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Page } from '../catalog/pages.ts'
import type { CursorCodec, CursorScope } from '../collections/cursor.ts'
import { hasField } from './answer-codes.ts'
import { contextOf } from './pipeline.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** For lists that make their cursors themselves, out of more than a row's id. */
    signsCursors?: boolean
  }
}

interface Listed {
  readonly nextCursor: string | null
}

/** Stands where other cursors have the value they sort by. */
const BY_ID = 'id'

/**
 * Lists that page by their rows' ids: a cursor of theirs is signed on its way out and opened on its way in, so that it is
 * good for the same list of the same tenant with the same filters alone; and the next page's address stands in `Link`.
 */
export function signCursors(server: FastifyInstance, cursors: CursorCodec): void {
  server.addHook('onRoute', (route) => {
    if (!takesCursor(route) || route.config?.signsCursors === true) return
    route.preHandler = [
      (request: FastifyRequest, _reply: FastifyReply, done: (error?: Error) => void) => {
        const query = request.query as { cursor?: string }
        if (query.cursor !== undefined) query.cursor = cursors.decode(scopeOf(request), query.cursor).id
        done()
      },
      ...[route.preHandler ?? []].flat(),
    ]
    route.preSerialization = (request, reply, payload, done) => {
      const page = payload as Listed
      if (page.nextCursor === null) return done(null, page)
      const nextCursor = cursors.encode(scopeOf(request), { value: BY_ID, id: page.nextCursor })
      reply.header('link', nextLink(request.url, nextCursor))
      done(null, { ...page, nextCursor })
    }
  })
}

/** Whether a route answers a page at a time. */
export function takesCursor({ schema }: RouteOptions): boolean {
  return hasField(schema?.querystring, 'cursor')
}

/** A page as callers see it. */
export function pageView<Row, View>(page: Page<Row>, view: (row: Row) => View): Page<View> {
  return { data: page.data.map(view), nextCursor: page.nextCursor }
}

/** The same list from the next row on (RFC 8288); relative, because only the proxy knows the outside host. */
export function nextLink(url: string, cursor: string): string {
  const { pathname, searchParams } = new URL(url, 'http://relative')
  searchParams.set('cursor', cursor)
  return `<${pathname}?${searchParams}>; rel="next"`
}

function scopeOf(request: FastifyRequest): CursorScope {
  const { limit: _limit, cursor: _cursor, ...filters } = request.query as Record<string, unknown>
  return {
    // An operator's lists name their tenant in the path or among the filters.
    tenantId: request.principal.kind === 'operator' ? '' : contextOf(request).tenantId,
    resource: `${request.routeOptions.url} ${JSON.stringify(request.params)}`,
    sort: BY_ID,
    filters: Object.entries(filters).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  }
}
