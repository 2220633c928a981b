import { createHash } from 'node:crypto'
import { and, eq } from 'drizzle-orm'
import { problem, type Tagged, type Tenant } from '../../../index.ts'
import { mediaChunks, media as table } from '../tables/records.ts'
import { media } from './media.ts'

/** The size of every chunk but the last. Small enough to keep two in memory for each upload. */
export const CHUNK_BYTES = 256 * 1024

/** A file that is being uploaded. `content` throws if the upload ends early. */
export interface IncomingFile {
  readonly filename: string
  readonly contentType: string
  readonly content: AsyncIterable<Uint8Array>
}

const UNKNOWN_YET = { sizeBytes: 0, sha256: '0'.repeat(64) }

/**
 * Writes a file chunk by chunk in one transaction. It reads the upload as fast as the database writes, and keeps at most two
 * chunks in memory. An upload that ends early leaves no rows. It leases a connection only after the first chunk has arrived.
 */
export async function storeMedia(tenant: Tenant, file: IncomingFile): Promise<Tagged> {
  const chunks = inChunks(file.content)
  const incoming: Incoming = { file, chunks, first: await chunks.next(), begun: false }
  try {
    return await tenant.transaction((_db, inside) => writeFile(inside, incoming))
  } finally {
    await chunks.return(undefined)
  }
}

interface Incoming {
  readonly file: IncomingFile
  readonly chunks: AsyncGenerator<Buffer, void>
  readonly first: IteratorResult<Buffer, void>
  begun: boolean
}

async function writeFile(inside: Tenant, incoming: Incoming): Promise<Tagged> {
  const { id: tenantId, db } = inside
  const { filename, contentType } = incoming.file
  // The stream can be read only once. A repeated transaction would write only the rest of the file.
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
  let chunk = incoming.first
  for (let number = 0; !chunk.done; number++) {
    hash.update(chunk.value)
    sizeBytes += chunk.value.length
    await db.insert(mediaChunks).values({ tenantId, mediaId: id, number, bytes: chunk.value })
    chunk = await incoming.chunks.next()
  }
  const isFile = and(eq(table.tenantId, tenantId), eq(table.id, id))
  await db
    .update(table)
    .set({ sizeBytes, sha256: hash.digest('hex') })
    .where(isFile)
  return media.find(inside, id)
}

/** Cuts a stream into chunks of `CHUNK_BYTES`. The last chunk may be shorter; an empty stream gives none. */
async function* inChunks(content: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer, void> {
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
 * Reads a range chunk by chunk. Each chunk has its own statement, which runs after the client has read the chunk before. So a slow
 * client holds no connection. Throws if the file is deleted meanwhile; the response is then cut off.
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
