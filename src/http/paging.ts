import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Page } from '../catalog/pages.ts'
import type { CursorCodec, CursorScope } from '../collections/cursor.ts'
import { hasField } from './answer-codes.ts'
import { contextOf } from './pipeline.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True for a list that signs its cursors itself, because they hold more than a row's id. */
    signsCursors?: boolean
  }
}

interface Listed {
  readonly nextCursor: string | null
}

/** The sort value of these cursors: such a list is sorted by id alone. */
const BY_ID = 'id'

/**
 * For lists that page by row id: signs the cursor in the answer and checks it in the request. A cursor is valid only for the
 * same list, tenant and filters. The `Link` header holds the address of the next page.
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
    // biome-ignore lint/complexity/useMaxParams: Fastify calls the hook with these four.
    route.preSerialization = (request, reply, payload, done) => {
      const page = payload as Listed
      if (page.nextCursor === null) return done(null, page)
      const nextCursor = cursors.encode(scopeOf(request), { value: BY_ID, id: page.nextCursor })
      reply.header('link', nextLink(request.url, nextCursor))
      done(null, { ...page, nextCursor })
    }
  })
}

/** True if the endpoint answers in pages. */
export function takesCursor({ schema }: RouteOptions): boolean {
  return hasField(schema?.querystring, 'cursor')
}

/** A page as callers see it. */
export function pageView<Row, View>(page: Page<Row>, view: (row: Row) => View): Page<View> {
  return { data: page.data.map(view), nextCursor: page.nextCursor }
}

/** A `Link` to the next page (RFC 8288). It is relative, because only the proxy knows the public host. */
export function nextLink(url: string, cursor: string): string {
  const { pathname, searchParams } = new URL(url, 'http://relative')
  searchParams.set('cursor', cursor)
  return `<${pathname}?${searchParams}>; rel="next"`
}

function scopeOf(request: FastifyRequest): CursorScope {
  const { limit: _limit, cursor: _cursor, ...filters } = request.query as Record<string, unknown>
  return {
    // A list for operators names its tenant in the path or in the filters, which the cursor covers too.
    tenantId: request.principal.kind === 'operator' ? '' : contextOf(request).tenantId,
    resource: `${request.routeOptions.url} ${JSON.stringify(request.params)}`,
    sort: BY_ID,
    filters: Object.entries(filters).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  }
}
