import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import multipart from '@fastify/multipart'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Type } from 'typebox'
import { matchesNone, problem, type Scope, type TenantOptions, Turns } from '../../../index.ts'
import { media } from '../media/media.ts'
import { readContent, storeMedia } from '../media/store.ts'
import { type Bytes, rangeOf } from './byte-range.ts'
import { contentDisposition } from './content-disposition.ts'
import { FORM_LIMITS, openUpload } from './upload.ts'

/** An upload holds a connection for as long as the client sends. Most connections must stay free for other requests. */
const MAX_UPLOADS = 16
/** For one tenant. Slow uploads of one tenant must leave room for other tenants and for the tenant's own reads. */
const MAX_UPLOADS_OF_TENANT = 8
const UPLOAD_WAIT_MS = 2_000
const BINARY = { type: 'string', format: 'binary' } as const
/** Media types that a browser would run, or show as a page of this server. */
const ACTIVE_TYPE = /html|xml|svg|script|^multipart\/|^message\//

/** The routes for the content of files. Their metadata is an ordinary collection. */
export function mediaRoutes(scope: Scope): void {
  scope.register(async (inner, server) => {
    // These routes accept forms only.
    server.removeAllContentTypeParsers()
    await server.register(multipart, { limits: FORM_LIMITS })
    uploadRoute(inner)
  })
  scope.tenant.get('/media/:id/content', contentOptions('readContent'), answerContent)
  scope.tenant.head('/media/:id/content', contentOptions('headContent'), answerContent)
}

function uploadRoute({ tenant }: Scope): void {
  const form = {
    type: 'object',
    properties: { file: BINARY },
    required: ['file'],
    additionalProperties: false,
  }
  const turns = new Turns({
    max: MAX_UPLOADS,
    maxOfShare: MAX_UPLOADS_OF_TENANT,
    waitMs: UPLOAD_WAIT_MS,
  })
  const options: TenantOptions = {
    access: 'media:write',
    document: {
      headers: ['etag', 'location'],
      requestContent: { 'multipart/form-data': { schema: form } },
    },
    schema: {
      ...{ operationId: 'createMedia', summary: 'Keep a file of up to 25 MiB' },
      response: { 201: media.schemas.row },
    },
    digest: digestUpload,
    preHandler: async ({ tenant: { id } }, reply) => {
      const release = await turns.take(id)
      // 'close' is emitted however the request ends, also when the client disconnects.
      reply.raw.once('close', release)
      if (reply.raw.closed) release()
    },
    onSend: async ({ raw }) => dropRest(raw),
  }
  tenant.post('/media', options, async (request, reply) => {
    const { row, etag } = await storeMedia(request.tenant, await openUpload(request))
    reply.code(201).headers({ location: `${request.routeOptions.url}/${row.id}`, etag: `"${etag}"` })
    return row
  })
}

/**
 * Discards the rest of the form before the answer is sent. Otherwise a client that reads only after it has sent the whole body
 * would never get the answer.
 */
function dropRest(raw: IncomingMessage): void {
  if (!raw.readableEnded) raw.unpipe().resume()
}

/** Takes the digest of a first request from its answer. Reads the whole body of a repeated request. */
async function digestUpload(request: FastifyRequest, answered: unknown): Promise<string> {
  if (answered !== null) {
    const { filename, contentType, sha256 } = answered as MediaRow
    return JSON.stringify([filename, contentType, sha256])
  }
  const { filename, contentType, content } = await openUpload(request)
  const hash = createHash('sha256')
  for await (const part of content) hash.update(part)
  return JSON.stringify([filename, contentType, hash.digest('hex')])
}

function contentOptions(operationId: string): TenantOptions {
  const content = { 'application/octet-stream': { schema: BINARY } }
  return {
    access: 'media:read',
    // Fastify's own HEAD route would read the whole content and send none of it.
    exposeHeadRoute: false,
    document: {
      headers: ['etag', 'accept-ranges', 'content-range'],
      asks: ['range', 'if-none-match'],
      codes: ['RANGE_NOT_SATISFIABLE'],
    },
    schema: {
      operationId,
      summary: 'The content of a file, whole or a range of it',
      params: media.schemas.params,
      response: {
        200: { description: 'All of it, under the media type it came with.', content },
        206: { description: 'The range.', content },
        304: Type.Null(),
      },
    },
  }
}

async function answerContent(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { id } = request.params as { id: string }
  const { tenant } = request
  const { row } = await media.find(tenant, id)
  const { filename, contentType, sizeBytes, sha256 } = row as unknown as MediaRow
  reply.headers({ etag: `"${sha256}"`, 'accept-ranges': 'bytes' })
  if (!matchesNone(request.headers['if-none-match'], sha256)) return reply.code(304).send()
  const range = askedRange(request, sizeBytes, sha256)
  if (range === null) {
    reply.header('content-range', `bytes */${sizeBytes}`)
    return problem('RANGE_NOT_SATISFIABLE')
  }
  const { first, last } = range ?? { first: 0, last: sizeBytes - 1 }
  if (range !== undefined) reply.code(206).header('content-range', `bytes ${first}-${last}/${sizeBytes}`)
  reply.headers({
    'content-type': ACTIVE_TYPE.test(contentType) ? 'application/octet-stream' : contentType,
    'content-disposition': contentDisposition('attachment', filename),
    'content-length': last - first + 1,
  })
  if (request.method === 'HEAD') return reply.send()
  return reply.send(Readable.from(readContent(tenant, id, { first, last }), { objectMode: false }))
}

interface MediaRow {
  readonly filename: string
  readonly contentType: string
  readonly sizeBytes: number
  readonly sha256: string
}

/** A client that continues an older content (`If-Range`) gets the whole current one. HEAD has no ranges (RFC 9110, 14.2). */
function askedRange(
  { method, headers }: FastifyRequest,
  size: number,
  etag: string,
): Bytes | null | undefined {
  const ifRange = headers['if-range']
  if (method === 'HEAD' || (ifRange !== undefined && ifRange !== `"${etag}"`)) return undefined
  return rangeOf(headers.range, size)
}
