import type { MultipartFile } from '@fastify/multipart'
import type { FastifyRequest } from 'fastify'
import { PublicError, problem } from '../../../index.ts'
import type { IncomingFile } from '../media/store.ts'

/** The largest accepted file. */
export const MAX_FILE_BYTES = 25 * 1024 * 1024
/** Enough for the parts of a form around its file. */
const FORM_BYTES = 64 * 1024
const MAX_FILENAME_LENGTH = 255
const MEDIA_TYPE = /^[a-z0-9][a-z0-9!#$&^_.+-]{0,48}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,48}$/
const UNKNOWN_TYPE = 'application/octet-stream'

/** One file and nothing else. */
export const FORM_LIMITS = { fileSize: MAX_FILE_BYTES, files: 1, fields: 0, headerPairs: 100 }

/**
 * Reads a form up to the content of its file.
 *
 * @throws PublicError UNSUPPORTED_MEDIA_TYPE, PAYLOAD_TOO_LARGE, VALIDATION_FAILED; its content throws the last two
 */
export async function openUpload(request: FastifyRequest): Promise<IncomingFile> {
  if (!request.isMultipart()) problem('UNSUPPORTED_MEDIA_TYPE')
  if (Number(request.headers['content-length'] ?? 0) > MAX_FILE_BYTES + FORM_BYTES)
    problem('PAYLOAD_TOO_LARGE')
  // The client has already disconnected. No event will follow, so the reader of the form would wait for ever.
  if (request.raw.destroyed) return unreadable(null)
  const parts = partsOf(request)
  const part = await parts.next()
  if (part.done || part.value.type !== 'file' || part.value.fieldname !== 'file') {
    return problem('VALIDATION_FAILED', undefined, {
      errors: [{ pointer: '/file', message: 'is required, and nothing else' }],
    })
  }
  const { filename, mimetype } = part.value
  return { filename: nameOf(filename), contentType: typeOf(mimetype), content: contentOf(part.value, parts) }
}

type Parts = ReturnType<typeof partsOf>

async function* partsOf(request: FastifyRequest) {
  try {
    yield* request.parts()
  } catch (error) {
    unreadable(error)
  }
}

/** The content of the file. Throws if the form ends early or has another part after the file. */
async function* contentOf({ file }: MultipartFile, parts: Parts): AsyncGenerator<Uint8Array, void> {
  try {
    yield* file
  } catch (error) {
    unreadable(error)
  }
  if (file.truncated) problem('PAYLOAD_TOO_LARGE')
  if (!(await parts.next()).done) unreadable(null)
}

/** Any error of the form's reader means that the form is bad or that the client disconnected. */
function unreadable(cause: unknown): never {
  if (cause instanceof PublicError) throw cause
  return problem('VALIDATION_FAILED', 'The form is not complete, or has more than one file.')
}

/** The file name without control characters, cut to `MAX_FILENAME_LENGTH`. */
function nameOf(given: string): string {
  const shown = given
    .toWellFormed()
    .replace(/\p{Cc}/gu, '')
    .trim()
  return Array.from(shown).slice(0, MAX_FILENAME_LENGTH).join('') || 'file'
}

function typeOf(given: string): string {
  const type = given.toLowerCase()
  return MEDIA_TYPE.test(type) ? type : UNKNOWN_TYPE
}
