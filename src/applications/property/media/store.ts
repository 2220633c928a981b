import { createHash } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import { problem, type Tagged, type Tenant } from '../../../index.ts'
import { mediaChunks, media as table } from '../tables/records.ts'
import { media } from './media.ts'

/** The size of all pieces but the last: a few a second at any client's speed, and few enough to hold for everybody. */
export const CHUNK_BYTES = 256 * 1024

/** A file on its way to us. `content` throws when it turns out not to be whole. */
export interface IncomingFile {
  readonly filename: string
  readonly contentType: string
  readonly content: AsyncIterable<Uint8Array>
}

const UNKNOWN_YET = { sizeBytes: 0, sha256: '0'.repeat(64) }

/**
 * Writes a file piece by piece in one transaction, never holding more than two of them; the file is asked for more as
 * fast as the database takes it. What ends early leaves nothing. The connection is taken once there is something to write.
 */
export async function storeMedia(tenant: Tenant, file: IncomingFile): Promise<Tagged> {
  const pieces = inPieces(file.content)
  const incoming: Incoming = { file, pieces, first: await pieces.next(), begun: false }
  try {
    return await tenant.transaction((_db, inside) => writeFile(inside, incoming))
  } finally {
    await pieces.return(undefined)
  }
}

interface Incoming {
  readonly file: IncomingFile
  readonly pieces: AsyncGenerator<Buffer, void>
  readonly first: IteratorResult<Buffer, void>
  begun: boolean
}

async function writeFile(inside: Tenant, incoming: Incoming): Promise<Tagged> {
  const { id: tenantId, db } = inside
  const { filename, contentType } = incoming.file
  // A stream is read once: a transaction that is tried again after it has begun would write the rest of it.
  if (incoming.begun) return problem('TENANT_DATABASE_UNAVAILABLE')
  const [row] = await db
    .insert(table)
    .values({ tenantId, filename, contentType, ...UNKNOWN_YET })
    .returning({ id: table.id })
  if (row === undefined) throw new Error('an insert returned no row')
  const { id } = row
  incoming.begun = true
  const hash = createHash('sha256')
  let sizeBytes = 0
  let piece = incoming.first
  for (let number = 0; !piece.done; number++) {
    hash.update(piece.value)
    sizeBytes += piece.value.length
    await db.insert(mediaChunks).values({ tenantId, mediaId: id, number, bytes: piece.value })
    piece = await incoming.pieces.next()
  }
  const isFile = and(eq(table.tenantId, tenantId), eq(table.id, id))
  await db
    .update(table)
    .set({ sizeBytes, sha256: hash.digest('hex') })
    .where(isFile)
  return media.find(inside, id)
}

/** Cuts a stream anew, into pieces of one size; the last may be shorter, and an empty stream has none. */
async function* inPieces(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
  let held: Uint8Array[] = []
  let length = 0
  for await (const part of content) {
    held.push(part)
    length += part.length
    if (length < CHUNK_BYTES) continue
    const whole = Buffer.concat(held)
    let from = 0
    for (; whole.length - from >= CHUNK_BYTES; from += CHUNK_BYTES)
      yield whole.subarray(from, from + CHUNK_BYTES)
    held = [whole.subarray(from)]
    length -= from
  }
  if (length > 0) yield Buffer.concat(held)
}

/** Bytes of a content, from the first to the last, both included. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * Reads a range piece by piece. Each piece is read by its own statement once the client has taken the piece before it, so a
 * slow client holds no connection. Throws when the file is deleted meanwhile, so that the response is cut off.
 */
export async function* readContent(
  { id: tenantId, db }: Tenant,
  mediaId: string,
  { first, last }: ByteRange,
): AsyncGenerator<Buffer, void> {
  const isContent = and(eq(mediaChunks.tenantId, tenantId), eq(mediaChunks.mediaId, mediaId))
  for (let at = first; at <= last; ) {
    const number = Math.floor(at / CHUNK_BYTES)
    const [chunk] = await db
      .select({ bytes: mediaChunks.bytes })
      .from(mediaChunks)
      .where(and(isContent, eq(mediaChunks.number, number)))
    if (chunk === undefined) return problem('NOT_FOUND')
    const begin = number * CHUNK_BYTES
    yield chunk.bytes.subarray(at - begin, last - begin + 1)
    at = begin + CHUNK_BYTES
  }
}
