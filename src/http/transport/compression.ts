import { constants } from 'node:zlib'
import compress from '@fastify/compress'
import type { FastifyInstance, RouteOptions } from 'fastify'

/** Below this the headers weigh more than what is saved. */
const THRESHOLD_BYTES = 1024
/** Half the time of quality 4 on a list, which then is less than a tenth shorter. */
const BROTLI_QUALITY = 2
/** Up to here in one go: a stream through the thread pool costs more than the work itself, which is 2 µs a kilobyte. */
const SYNC_THRESHOLD_BYTES = 256 * 1024

/**
 * Compresses JSON for those who take it, where it may be long: a look at each answer costs a single row a twentieth of
 * its time, and nothing is gained. What people keep here is sent as it is: ranges count its own bytes.
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
    // A few kilobytes that unpack to gigabytes are no body to read.
    globalDecompression: false,
  })
}

/** Lists and documents, but not rows by their id, and not what is said to a change. */
function mayBeLong({ method, url }: RouteOptions): boolean {
  return (method === 'GET' || method === 'HEAD') && !/:\w+$/.test(url)
}

/** Routes that answer something else name its media type in their schema. */
function answersJson({ schema }: RouteOptions): boolean {
  const answers = Object.values((schema?.response ?? {}) as Record<string, object>)
  return answers.every((answer) => !('content' in answer))
}
