import { createHash, randomFillSync } from 'node:crypto'
import { type Clock, systemClock } from './clock.ts'

const COUNTER_LIMIT = 0x1000
// The counter begins in the lower half of its 12 bits, so that at least 2048 ids fit in the millisecond that seeded it.
const SEED_MASK = 0x7ff
const POOL_BYTES = 2048
const RANDOM_BYTES = 10
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Makes a generator of UUIDs of version 7 (RFC 9562, 5.7), each greater than the one before it: 48 bits of
 * milliseconds, a 12-bit counter with a random start (6.2, method 1), 62 random bits. If the clock goes back or the
 * counter overflows, the ids stay ahead of the clock, so they keep their order.
 */
export function createIdGenerator(clock: Pick<Clock, 'now'> = systemClock): () => string {
  const random = randomPool()
  let lastMs = -1
  let counter = 0
  return () => {
    const bytes = random()
    const seed = bytes.readUInt16BE(8) & SEED_MASK
    const now = Math.floor(clock.now())
    if (now > lastMs) {
      lastMs = now
      counter = seed
    } else if (++counter === COUNTER_LIMIT) {
      lastMs++
      counter = seed
    }
    return format(lastMs, counter, bytes)
  }
}

/** A new UUIDv7, greater than all earlier ones of this process. */
export const newId = createIdGenerator()

/**
 * The UUIDv7 of a time and a text. Every process computes the same one. It sorts among the ids of about that time. Only for ids
 * that are not secret.
 */
export function momentId(at: Date, text: string): string {
  const digest = createHash('sha256').update(text).digest()
  return format(at.getTime(), digest.readUInt16BE(10) & 0xfff, digest)
}

/** True if `text` has the form of a UUID, of any version, in upper or lower case. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}

/** The 16 bytes of a UUID. */
export function uuidBytes(uuid: string): Buffer {
  return Buffer.from(uuid.replaceAll('-', ''), 'hex')
}

/** The UUID of 16 bytes, in lower case. */
export function uuidText(bytes: Buffer): string {
  return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}

function format(ms: number, counter: number, random: Buffer): string {
  const time = ms.toString(16).padStart(12, '0')
  const version = (0x7000 | counter).toString(16)
  const variant = (0x8000 | (random.readUInt16BE(0) & 0x3fff)).toString(16)
  return `${time.slice(0, 8)}-${time.slice(8)}-${version}-${variant}-${random.toString('hex', 2, 8)}`
}

/** One call of the system's generator serves many ids. The buffer it returns is overwritten by later calls. */
function randomPool(): () => Buffer {
  const pool = Buffer.alloc(POOL_BYTES)
  let offset = POOL_BYTES
  return () => {
    if (offset + RANDOM_BYTES > POOL_BYTES) {
      randomFillSync(pool)
      offset = 0
    }
    offset += RANDOM_BYTES
    return pool.subarray(offset - RANDOM_BYTES, offset)
  }
}
