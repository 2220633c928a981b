import { createHash, hash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import multipart from '@fastify/multipart'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { matchesNone } from '../../../collections/etag.ts'
import { fail } from '../../../errors.ts'
import { idOf } from '../../../http/bodies.ts'
import { command, type UploadAnswer } from '../../../http/command.ts'
import { NoBody, PROBLEM_RESPONSES } from '../../../http/schemas.ts'
import { compileValidator } from '../../../http/validation.ts'
import { Turns } from '../../../lib/turns.ts'
import { media } from '../media/media.ts'
import { type IncomingFile, readContent, storeMedia } from '../media/store.ts'
import { type Bytes, rangeOf } from './byte-range.ts'
import { contentDisposition } from './content-disposition.ts'
import { FORM_LIMITS, openUpload } from './upload.ts'

const READ = { kind: 'tenant', permission: 'media:read' } as const
const WRITE = { kind: 'tenant', permission: 'media:write' } as const
/** An upload holds a connection for as long as its sender takes; most of them must be left for everybody else. */
const MAX_UPLOADS = 16
/** Of one tenant, so that its senders, however slow, leave turns to the others and connections to its own readers. */
const MAX_UPLOADS_OF_TENANT = 8
const UPLOAD_WAIT_MS = 2_000
const BINARY = { type: 'string', format: 'binary' } as const
/** What a browser would run, or show as if it came from us. */
const ACTIVE_TYPE = /html|xml|svg|script|^multipart\/|^message\//

/** How files come in and go out; what is kept beside their content is a collection like any other. */
export function mediaRoutes(api: FastifyInstance): void {
  void api.register((scope, _options, done) => {
    // Here a form is the only body.
    scope.removeAllContentTypeParsers()
    void scope.register(multipart, { limits: FORM_LIMITS }).after(() => {
      scope.route(uploadRoute(`${api.prefix}/media`))
    })
    done()
  })
  api.route(contentRoute('GET'))
  api.route(contentRoute('HEAD'))
}

function uploadRoute(path: string): RouteOptions {
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
  const route = command({
    url: '/media',
    config: {
      access: WRITE,
      document: {
        headers: ['etag', 'location'],
        requestContent: { 'multipart/form-data': { schema: form } },
      },
    },
    schema: {
      ...{ tags: ['media'], operationId: 'createMedia', summary: 'Keep a file of up to 25 MiB' },
      response: { 201: media.schemas.row, ...PROBLEM_RESPONSES },
    },
    run: async (request, session): Promise<UploadAnswer> => {
      const upload = await openUpload(request)
      const { row, etag } = await storeMedia(session, upload)
      const headers = { location: `${path}/${row.id}`, etag: `"${etag}"` }
      return { status: 201, headers, body: row, digest: digestOf(upload, String(row.sha256)) }
    },
    digest: digestUpload,
  })
  return {
    ...route,
    // The form is read while it is stored; there is no body to look at before.
    validatorCompiler: (part) => (part.httpPart === 'body' ? () => true : compileValidator(part)),
    preHandler: async ({ tenant }, reply) => {
      const end = await turns.take(tenant.tenantId)
      // Comes however the request ends, also when its sender goes away.
      reply.raw.once('close', end)
      if (reply.raw.closed) end()
    },
    onSend: async ({ raw }) => dropRest(raw),
  }
}

/**
 * Once there is an answer nobody reads on in the form: the rest runs out, as that of a body which nobody began to read. Else
 * who sends all of it before listening would never hear the answer.
 */
function dropRest(raw: IncomingMessage): void {
  if (!raw.readableEnded) raw.unpipe().resume()
}

async function digestUpload(request: FastifyRequest): Promise<string> {
  const upload = await openUpload(request)
  const content = createHash('sha256')
  for await (const part of upload.content) content.update(part)
  return digestOf(upload, content.digest('hex'))
}

function digestOf({ filename, contentType }: IncomingFile, sha256: string): string {
  return hash('sha256', JSON.stringify([filename, contentType, sha256]))
}

function contentRoute(method: 'GET' | 'HEAD'): RouteOptions {
  const content = { 'application/octet-stream': { schema: BINARY } }
  return {
    method,
    url: '/media/:id/content',
    // Fastify's own would read the whole of it to say nothing.
    exposeHeadRoute: false,
    config: {
      access: READ,
      document: {
        headers: ['etag', 'accept-ranges', 'content-range'],
        asks: ['range', 'if-none-match'],
        codes: ['RANGE_NOT_SATISFIABLE'],
      },
    },
    schema: {
      ...{ tags: ['media'], operationId: method === 'GET' ? 'readContent' : 'headContent' },
      summary: 'The content of a file, whole or a range of it',
      params: media.schemas.params,
      response: {
        200: { description: 'All of it, under the media type it came with.', content },
        206: { description: 'The range.', content },
        304: NoBody,
        ...PROBLEM_RESPONSES,
      },
    },
    handler: answerContent,
  }
}

async function answerContent(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const { session } = request.tenant
  const id = idOf(request.params)
  const { row } = await media.find(session, id)
  const { filename, contentType, sizeBytes, sha256 } = row as unknown as MediaRow
  reply.headers({ etag: `"${sha256}"`, 'accept-ranges': 'bytes' })
  if (!matchesNone(request.headers['if-none-match'], sha256)) return reply.code(304).send()
  const range = askedRange(request, sizeBytes, sha256)
  if (range === null) {
    reply.header('content-range', `bytes */${sizeBytes}`)
    throw fail('RANGE_NOT_SATISFIABLE')
  }
  const { first, last } = range ?? { first: 0, last: sizeBytes - 1 }
  if (range !== undefined) reply.code(206).header('content-range', `bytes ${first}-${last}/${sizeBytes}`)
  reply.headers({
    'content-type': ACTIVE_TYPE.test(contentType) ? 'application/octet-stream' : contentType,
    'content-disposition': contentDisposition('attachment', filename),
    'content-length': last - first + 1,
  })
  if (request.method === 'HEAD') return reply.send()
  return reply.send(Readable.from(readContent(session, id, { first, last }), { objectMode: false }))
}

interface MediaRow {
  readonly filename: string
  readonly contentType: string
  readonly sizeBytes: number
  readonly sha256: string
}

/** Who goes on with an older content (`If-Range`) gets the present one whole. A HEAD has no ranges (RFC 9110, 14.2). */
function askedRange(
  { method, headers }: FastifyRequest,
  size: number,
  etag: string,
): Bytes | null | undefined {
  const goesOn = headers['if-range']
  if (method === 'HEAD' || (goesOn !== undefined && goesOn !== `"${etag}"`)) return undefined
  return rangeOf(headers.range, size)
}
