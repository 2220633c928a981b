import { constants } from 'node:zlib'
import compress from '@fastify/compress'
import type { FastifyInstance, RouteOptions } from 'fastify'

/** A shorter answer would not become smaller: the headers of a compressed answer outweigh the gain. */
const THRESHOLD_BYTES = 1024
/** Quality 4 takes twice the time on a list and makes it less than a tenth shorter. */
const BROTLI_QUALITY = 2
/** Shorter answers are compressed synchronously: it takes 2 µs a kilobyte, less than a stream through the thread pool costs. */
const SYNC_THRESHOLD_BYTES = 256 * 1024

/**
 * Compresses JSON if the caller accepts that and the answer may be long. For a single row, the check alone would cost a twentieth
 * of the request's time and save nothing. Other content is sent as it is, because ranges count its own bytes.
 */
export function compressAnswers(server: FastifyInstance): void {
  server.addHook('onRoute', (route) => {
    if (!mayBeLong(route) || !answersJson(route)) route.compress = false
  })
  void server.register(compress, {
    customTypes: /[/+]json(?:;|$)/,
    threshold: THRESHOLD_BYTES,
    syncThreshold: SYNC_THRESHOLD_BYTES,
    encodings: ['br', 'gzip'],
    brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY } },
    // Bodies are not decompressed: a few kilobytes could become gigabytes.
    globalDecompression: false,
  })
}

/** True for lists and documents. False for a row by its id and for the answer to a change. */
function mayBeLong({ method, url }: RouteOptions): boolean {
  return (method === 'GET' || method === 'HEAD') && !/:\w+$/.test(url)
}

/** A route that does not answer JSON names its media type in its schema. */
function answersJson({ schema }: RouteOptions): boolean {
  const answers = Object.values((schema?.response ?? {}) as Record<string, object>)
  return answers.every((answer) => !('content' in answer))
}
