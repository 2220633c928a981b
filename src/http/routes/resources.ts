import type { FastifyInstance, FastifyReply, RouteOptions } from 'fastify'
import type { Body } from '../../data/commands.ts'
import type { CursorCodec } from '../../data/cursor.ts'
import type { Resource } from '../../data/define-resource.ts'
import { matchesNone } from '../../data/etag.ts'
import type { Tagged } from '../../data/model.ts'
import type { ListQuery } from '../../data/query.ts'
import { NoBody, PROBLEM_RESPONSES } from '../schemas.ts'

/** What the routes need besides the request's tenant. */
export interface ResourceDeps {
  readonly cursors: CursorCodec
}

interface Registration {
  readonly resource: Resource
  readonly cursors: CursorCodec
  /** The collection's path as callers see it, with the prefix. */
  readonly path: string
}

/** Registers the five routes of a collection below the prefix of `app`. */
export function registerResource(app: FastifyInstance, resource: Resource, { cursors }: ResourceDeps): void {
  const registration = { resource, cursors, path: `${app.prefix}/${resource.name}` }
  for (const route of [listRoute, createRoute, findRoute, updateRoute, removeRoute]) {
    app.route(route(registration))
  }
}

function listRoute({ resource, cursors }: Registration): RouteOptions {
  const { schemas } = resource
  return {
    method: 'GET',
    url: `/${resource.name}`,
    config: access(resource, 'read'),
    schema: {
      ...about(resource, 'list'),
      querystring: schemas.listQuery,
      response: answers(200, schemas.list),
    },
    handler: async (request, reply) => {
      const page = await resource.list(request.tenant.session, request.query as ListQuery, cursors)
      if (page.nextCursor !== null) reply.header('link', nextLink(request.url, page.nextCursor))
      return page
    },
  }
}

function createRoute({ resource, path }: Registration): RouteOptions {
  const { schemas } = resource
  return {
    method: 'POST',
    url: `/${resource.name}`,
    config: access(resource, 'write'),
    schema: { ...about(resource, 'create'), body: schemas.create, response: answers(201, schemas.row) },
    handler: async (request, reply) => {
      const created = await resource.create(request.tenant.session, request.body as Body)
      reply.code(201).header('location', `${path}/${created.row.id}`)
      return answerTagged(reply, created)
    },
  }
}

function findRoute({ resource }: Registration): RouteOptions {
  const { schemas } = resource
  return {
    method: 'GET',
    url: `/${resource.name}/:id`,
    config: access(resource, 'read'),
    schema: {
      ...about(resource, 'find'),
      params: schemas.params,
      response: { ...answers(200, schemas.row), 304: NoBody },
    },
    handler: async (request, reply) => {
      const found = await resource.find(request.tenant.session, idOf(request.params))
      if (matchesNone(request.headers['if-none-match'], found.etag)) return answerTagged(reply, found)
      return reply.code(304).header('etag', quoted(found.etag)).send()
    },
  }
}

function updateRoute({ resource }: Registration): RouteOptions {
  const { schemas } = resource
  return {
    method: 'PATCH',
    url: `/${resource.name}/:id`,
    config: access(resource, 'write'),
    schema: {
      ...about(resource, 'update'),
      params: schemas.params,
      body: schemas.patch,
      response: answers(200, schemas.row),
    },
    handler: async (request, reply) => {
      const { params, headers, body, tenant } = request
      const patched = await resource.update(tenant.session, idOf(params), body as Body, headers['if-match'])
      return answerTagged(reply, patched)
    },
  }
}

function removeRoute({ resource }: Registration): RouteOptions {
  return {
    method: 'DELETE',
    url: `/${resource.name}/:id`,
    config: access(resource, 'write'),
    schema: {
      ...about(resource, 'delete'),
      params: resource.schemas.params,
      response: answers(204, NoBody),
    },
    handler: async (request, reply) => {
      await resource.remove(request.tenant.session, idOf(request.params), request.headers['if-match'])
      return reply.code(204).send()
    },
  }
}

/** Read by the pipeline before a body is parsed. */
function access({ permission }: Resource, action: 'read' | 'write') {
  return { access: { kind: 'tenant', permission: `${permission}:${action}` } } as const
}

function about({ name, title, permission }: Resource, verb: string) {
  const subject = verb === 'list' ? name : title
  return { tags: [permission], operationId: `${verb}${subject.charAt(0).toUpperCase()}${subject.slice(1)}` }
}

function answers<Schema>(status: number, schema: Schema) {
  return { [status]: schema, ...PROBLEM_RESPONSES }
}

function answerTagged(reply: FastifyReply, { row, etag }: Tagged) {
  reply.header('etag', quoted(etag))
  return row
}

function quoted(etag: string): string {
  return `"${etag}"`
}

function idOf(params: unknown): string {
  return (params as { id: string }).id
}

/** The same list from the next row on (RFC 8288); relative, because only the proxy knows the outside host. */
function nextLink(url: string, cursor: string): string {
  const { pathname, searchParams } = new URL(url, 'http://relative')
  searchParams.set('cursor', cursor)
  return `<${pathname}?${searchParams}>; rel="next"`
}
