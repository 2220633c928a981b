import type { FastifyInstance } from 'fastify'
import type { Static } from 'typebox'
import type { Server as ServerRow } from '../../../catalog/servers/servers.ts'
import type { NewServer, ServerPatch } from '../../../operations/servers/server-operations.ts'
import { OPERATOR_READ, OPERATOR_WRITE } from '../../access.ts'
import type { HttpDeps } from '../../deps.ts'
import { type Endpoint, serve, type Tag } from '../../endpoint.ts'
import { pageView } from '../../paging.ts'
import { actorOf } from '../../pipeline.ts'
import { Server, ServerBody, ServerChange, ServerList } from '../../schemas/database.ts'
import { ID_PARAMS, PageQuery } from '../../schemas/parts.ts'
import { EmptyBody } from '../../schemas/problem.ts'
import { idOf } from '../path-ids.ts'

const TAG: Tag = {
  name: 'operators: servers',
  description: 'The database servers on which Freehold may create databases.',
}
const PATH = '/servers/:id'

const ADD: Endpoint = {
  ...{ method: 'POST', url: '/servers', access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'addServer', summary: 'Add a database server' },
  description:
    'The server is connected to before the answer. The connection string is encrypted before it is kept, and no answer shows it.',
  body: ServerBody,
  answers: { 201: Server },
  errors: ['CONFLICT', 'NO_CONNECTION_AVAILABLE'],
}

const LIST: Endpoint = {
  ...{ method: 'GET', url: '/servers', access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'listServers', summary: 'List the database servers' },
  description: 'A page at a time.',
  query: PageQuery,
  answers: { 200: ServerList },
}

const FIND: Endpoint = {
  ...{ method: 'GET', url: PATH, access: OPERATOR_READ, tag: TAG },
  ...{ operationId: 'findServer', summary: 'Find a database server' },
  description: 'With the number of tenants whose databases are on it, and what the last health round found.',
  params: ID_PARAMS,
  answers: { 200: Server },
  errors: ['NOT_FOUND'],
}

const CHANGE: Endpoint = {
  ...{ method: 'PATCH', url: PATH, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'changeServer', summary: 'Change a database server' },
  description:
    'A new connection string is checked before the answer, like the first one, and must lead to the same server. A server ' +
    'that is `draining` gets no new databases.',
  params: ID_PARAMS,
  body: ServerChange,
  answers: { 200: Server },
  errors: ['NOT_FOUND', 'CONFLICT', 'NO_CONNECTION_AVAILABLE'],
}

const REMOVE: Endpoint = {
  ...{ method: 'DELETE', url: PATH, access: OPERATOR_WRITE, tag: TAG },
  ...{ operationId: 'removeServer', summary: 'Remove a database server' },
  description:
    "A server stays while a tenant's database is on it. Freehold forgets the server, and changes nothing on it.",
  params: ID_PARAMS,
  answers: { 204: EmptyBody },
  errors: ['NOT_FOUND', 'SERVER_IN_USE'],
}

export function operatorServerRoutes(api: FastifyInstance, { operations }: HttpDeps): void {
  serve(api, ADD, async (request, reply) => {
    const server = await operations.servers.add(request.body as NewServer, actorOf(request))
    return reply.code(201).send(serverView(server))
  })
  serve(api, LIST, async ({ query }) =>
    pageView(await operations.servers.list(query as Static<typeof PageQuery>), serverView),
  )
  serve(api, FIND, async ({ params }) => serverView(await operations.servers.find(idOf(params))))
  serve(api, CHANGE, async (request) =>
    serverView(
      await operations.servers.change(idOf(request.params), request.body as ServerPatch, actorOf(request)),
    ),
  )
  serve(api, REMOVE, async (request, reply) => {
    await operations.servers.remove(idOf(request.params), actorOf(request))
    return reply.code(204).send()
  })
}

/** Fields are listed, so that a new column of the table is not shown by accident. */
function serverView(server: ServerRow) {
  const { id, name, host, port, region, capacity, databases, createdAt } = server
  const { lastErrorCode: code, lastErrorMessage: message, lastErrorAt: at } = server
  const isUnreachable = server.status === 'active' && code !== null
  return {
    ...{ id, name, host, port, region, capacity, databases, createdAt },
    ready: { wanted: 0, available: 0 },
    status: isUnreachable ? 'unreachable' : server.status,
    lastError: code === null ? null : { code, message, at },
  }
}
