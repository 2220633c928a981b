import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import type { Body } from '../../collections/commands.ts'
import type { CursorCodec } from '../../collections/cursor.ts'
import type { Resource } from '../../collections/define-resource.ts'
import { matchesNone } from '../../collections/etag.ts'
import type { Tagged } from '../../collections/model.ts'
import type { ListQuery } from '../../collections/query.ts'
import { fail } from '../../errors.ts'
import { command } from '../command.ts'
import type { Tag } from '../endpoint.ts'
import { nextLink } from '../paging.ts'
import { contextOf } from '../pipeline.ts'
import { EmptyBody, PROBLEM_RESPONSES } from '../schemas/problem.ts'

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

/** Registers a collection's routes below the prefix of `app`: five, or two if its rows are read-only. */
export function registerResource(app: FastifyInstance, resource: Resource, { cursors }: ResourceDeps): void {
  const registration = { resource, cursors, path: `${app.prefix}/${resource.name}` }
  app.route(listRoute(registration))
  app.route(findRoute(registration))
  for (const method of resource.methods) app.route(WRITING_ROUTES[method](registration))
}

function listRoute({ resource, cursors }: Registration): RouteOptions {
  const { schemas } = resource
  return {
    method: 'GET',
    url: `/${resource.name}`,
    config: { ...access(resource, 'read'), signsCursors: true, document: { tag: tagOf(resource) } },
    schema: {
      ...about(resource, 'list'),
      querystring: schemas.listQuery,
      response: answers(200, { ...schemas.list, title: `${resource.title}List` }),
    },
    handler: async (request, reply) => {
      const page = await resource.list(contextOf(request).session, request.query as ListQuery, cursors)
      if (page.nextCursor !== null) reply.header('link', nextLink(request.url, page.nextCursor))
      return page
    },
  }
}

function createRoute({ resource, path }: Registration): RouteOptions {
  const { schemas } = resource
  return command({
    url: `/${resource.name}`,
    config: { ...access(resource, 'write'), document: { tag: tagOf(resource), ...CREATE } },
    schema: { ...about(resource, 'create'), body: schemas.create, response: answers(201, schemas.row) },
    run: async ({ body }, session) => {
      const { row, etag } = await resource.create(session, body as Body)
      return { status: 201, headers: { location: `${path}/${row.id}`, etag: quoted(etag) }, body: row }
    },
  })
}

function findRoute({ resource }: Registration): RouteOptions {
  const { schemas } = resource
  return {
    method: 'GET',
    url: `/${resource.name}/:id`,
    config: { ...access(resource, 'read'), document: { tag: tagOf(resource), ...FIND } },
    schema: {
      ...about(resource, 'find'),
      params: schemas.params,
      response: { ...answers(200, schemas.row), 304: EmptyBody },
    },
    handler: async (request, reply) => {
      const found = await resource.find(contextOf(request).session, idOf(request.params))
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
    config: { ...access(resource, 'write'), document: { tag: tagOf(resource), ...UPDATE } },
    schema: {
      ...about(resource, 'update'),
      params: schemas.params,
      consumes: ['application/json', 'application/merge-patch+json'],
      body: schemas.patch,
      response: answers(200, schemas.row),
    },
    handler: async (request, reply) => {
      const { params, body } = request
      const condition = await conditionOf(request, resource)
      const patched = await resource.update(contextOf(request).session, idOf(params), body as Body, condition)
      return answerTagged(reply, patched)
    },
  }
}

function removeRoute({ resource }: Registration): RouteOptions {
  return {
    method: 'DELETE',
    url: `/${resource.name}/:id`,
    config: { ...access(resource, 'write'), document: { tag: tagOf(resource), ...REMOVE } },
    schema: {
      ...about(resource, 'delete'),
      params: resource.schemas.params,
      response: answers(204, EmptyBody),
    },
    handler: async (request, reply) => {
      const condition = await conditionOf(request, resource)
      await resource.remove(contextOf(request).session, idOf(request.params), condition)
      return reply.code(204).send()
    },
  }
}

/**
 * The `If-Match` condition of a write. A write fails if its `If-None-Match` names the row's version (RFC 9110, section 13.1.2).
 * Otherwise the write applies only to the version that was compared.
 */
async function conditionOf(request: FastifyRequest, resource: Resource): Promise<string | undefined> {
  const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers
  if (ifNoneMatch === undefined) return ifMatch
  const { etag } = await resource.find(contextOf(request).session, idOf(request.params))
  if (!matchesNone(ifNoneMatch, etag)) throw fail('PRECONDITION_FAILED')
  return ifMatch ?? quoted(etag)
}

const WRITING_ROUTES = { create: createRoute, update: updateRoute, remove: removeRoute }

/** The pipeline checks this before a body is parsed. */
function access({ permission }: Resource, action: 'read' | 'write') {
  return { access: { kind: 'tenant', permission: `${permission}:${action}` } } as const
}

function about({ name, title, permission }: Resource, verb: keyof typeof SUMMARIES) {
  const subject = verb === 'list' ? name : title
  return {
    tags: [permission],
    operationId: `${verb}${subject.charAt(0).toUpperCase()}${subject.slice(1)}`,
    summary: SUMMARIES[verb](name),
    description: DESCRIPTIONS[verb],
  }
}

function tagOf({ permission }: Resource): Tag {
  return {
    name: permission,
    description: `Rows that need \`${permission}:read\` or \`${permission}:write\`.`,
  }
}

const SUMMARIES = {
  list: (name: string) => `List ${name}`,
  create: (name: string) => `Create one of ${name}`,
  find: (name: string) => `Find one of ${name}`,
  update: (name: string) => `Update one of ${name}`,
  delete: (name: string) => `Delete one of ${name}`,
}

const DESCRIPTIONS = {
  list: 'In the order of `sort`, a page at a time.',
  create: 'With an `Idempotency-Key` the request may be repeated: it creates one row.',
  find: 'With its version in `ETag`.',
  update: 'By a merge patch (RFC 7396): fields that are left out keep their value.',
  delete: 'With `If-Match` only the named version is deleted.',
}

/** What the OpenAPI document says of these routes besides their schemas. */
const FIND = { headers: ['etag'], asks: ['if-none-match'] } as const
const CREATE = { headers: ['etag', 'location'], codes: ['REFERENCE_NOT_FOUND', 'CONFLICT'] } as const
const UPDATE = {
  headers: ['etag'],
  asks: ['if-match', 'if-none-match'],
  codes: ['REFERENCE_NOT_FOUND', 'CONFLICT', 'PRECONDITION_FAILED'],
} as const
const REMOVE = { asks: ['if-match', 'if-none-match'], codes: ['CONFLICT', 'PRECONDITION_FAILED'] } as const

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
