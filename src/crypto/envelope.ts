import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/**
 * A sealed value is `version (1) | key id (8) | nonce (12) | body | tag (16)`, AES-256-GCM.
 * The tag also authenticates the header and the binding.
 */
const VERSION = 1
const KEY_ID_BYTES = 8
const HEADER_BYTES = 1 + KEY_ID_BYTES
const NONCE_BYTES = 12
const TAG_BYTES = 16
const KEY_BYTES = 32
const OVERHEAD_BYTES = HEADER_BYTES + NONCE_BYTES + TAG_BYTES

/** The place of a sealed value. It opens only there, and not in another row, column, tenant or row version. */
export interface Binding {
  table: string
  column: string
  /** Null for rows that belong to no tenant. An empty id is another binding. */
  tenantId: string | null
  rowId: string
  /** Grows with each write of the row, so that an old value does not open after it was restored. */
  rowVersion: number
}

/** A 32-byte AES key and its fingerprint (16 hex digits), which the header carries. */
export interface SealingKey {
  readonly id: string
  readonly bytes: Uint8Array
}

/** The value was changed, cut or moved, or sealed by a key that has the same id but other bytes. */
export class SealBrokenError extends Error {
  override readonly name = 'SealBrokenError'
  readonly code = 'SEAL_BROKEN'

  constructor() {
    super('the sealed value does not open here')
  }
}

/** The value was sealed with a key that this process does not have. */
export class UnknownKeyError extends Error {
  override readonly name = 'UnknownKeyError'
  readonly code = 'UNKNOWN_KEY'
  readonly keyId: string

  constructor(keyId: string) {
    super(`no key ${keyId} to open the sealed value`)
    this.keyId = keyId
  }
}

/** Seals `plaintext` for `binding`. Sealing the same text twice gives two different results. */
export function seal(key: SealingKey, plaintext: Uint8Array, binding: Binding): Buffer {
  const header = encodeHeader(key.id)
  const nonce = randomBytes(NONCE_BYTES)
  const { body, tag } = encryptGcm({ key: key.bytes, nonce, aad: additionalData(header, binding) }, plaintext)
  return Buffer.concat([header, nonce, body, tag])
}

/**
 * Opens a value that `seal` made with the same key and binding.
 *
 * @throws UnknownKeyError when the header names another key.
 * @throws SealBrokenError when anything else differs.
 */
export function open(key: SealingKey, sealed: Uint8Array, binding: Binding): Buffer {
  const { header, keyId, nonce, body, tag } = split(sealed)
  if (keyId !== key.id) throw new UnknownKeyError(keyId)
  return decryptGcm({ key: key.bytes, nonce, aad: additionalData(header, binding) }, body, tag)
}

/**
 * The id of the key that sealed a value, read from its header. It is not authenticated until the value is opened.
 *
 * @throws SealBrokenError when the value is too short or has another version.
 */
export function sealedKeyId(sealed: Uint8Array): string {
  return split(sealed).keyId
}

/** The input of one AES-256-GCM operation besides the text: 32-byte key, 12-byte nonce, additional data. */
export interface GcmInput {
  key: Uint8Array
  nonce: Uint8Array
  aad: Uint8Array
}

/** AES-256-GCM. Never use a nonce twice with one key; `seal` draws it at random. */
export function encryptGcm(input: GcmInput, plaintext: Uint8Array): { body: Buffer; tag: Buffer } {
  assertGcmInput(input)
  const cipher = createCipheriv('aes-256-gcm', input.key, input.nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(input.aad)
  const body = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return { body, tag: cipher.getAuthTag() }
}

/**
 * AES-256-GCM, checked before anything is returned.
 *
 * @throws SealBrokenError when the tag is not 16 bytes or does not fit.
 */
export function decryptGcm(input: GcmInput, body: Uint8Array, tag: Uint8Array): Buffer {
  assertGcmInput(input)
  // By default Node accepts tags of 4 bytes. Both this check and `authTagLength` prevent that.
  if (tag.length !== TAG_BYTES) throw new SealBrokenError()
  const decipher = createDecipheriv('aes-256-gcm', input.key, input.nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(input.aad)
  decipher.setAuthTag(tag)
  // update() returns plaintext before the tag is checked. Do not return it before final() has checked the tag.
  const unchecked = decipher.update(body)
  try {
    return Buffer.concat([unchecked, decipher.final()])
  } catch {
    unchecked.fill(0)
    throw new SealBrokenError()
  }
}

function assertGcmInput({ key, nonce }: GcmInput): void {
  if (key.length !== KEY_BYTES) throw new RangeError(`an AES-256 key has ${KEY_BYTES} bytes`)
  // GCM hashes nonces of other lengths, which makes collisions more likely.
  if (nonce.length !== NONCE_BYTES) throw new RangeError(`a nonce has ${NONCE_BYTES} bytes`)
}

function encodeHeader(keyId: string): Buffer {
  // Buffer.from(x, 'hex') never fails: a wrong id would give a shorter header.
  if (!/^[0-9a-f]{16}$/.test(keyId)) throw new RangeError('a key id is 16 hex digits')
  return Buffer.concat([Buffer.of(VERSION), Buffer.from(keyId, 'hex')])
}

function split(sealed: Uint8Array) {
  if (sealed.length < OVERHEAD_BYTES || sealed[0] !== VERSION) throw new SealBrokenError()
  const bytes = Buffer.from(sealed.buffer, sealed.byteOffset, sealed.length)
  const bodyStart = HEADER_BYTES + NONCE_BYTES
  const tagStart = bytes.length - TAG_BYTES
  return {
    header: bytes.subarray(0, HEADER_BYTES),
    keyId: bytes.toString('hex', 1, HEADER_BYTES),
    nonce: bytes.subarray(HEADER_BYTES, bodyStart),
    body: bytes.subarray(bodyStart, tagStart),
    tag: bytes.subarray(tagStart),
  }
}

/** Every field is preceded by its kind and length, so that no two bindings give the same bytes. */
function additionalData(header: Buffer, binding: Binding): Buffer {
  const { table, column, tenantId, rowId, rowVersion } = binding
  if (!Number.isSafeInteger(rowVersion) || rowVersion < 0) {
    throw new RangeError('a row version is an integer of 0 or more')
  }
  const version = Buffer.alloc(8)
  version.writeBigUInt64BE(BigInt(rowVersion))
  const fields = [table, column, tenantId, rowId].map(encodeField)
  return Buffer.concat([Buffer.from('freehold/sealed/v1\0'), header, ...fields, version])
}

function encodeField(value: string | null): Buffer {
  if (value === null) return Buffer.of(0)
  // UTF-8 writes every lone surrogate as U+FFFD, so two different texts would give one binding.
  if (!value.isWellFormed()) throw new RangeError('a binding field is well-formed text')
  const text = Buffer.from(value, 'utf8')
  const prefix = Buffer.alloc(5)
  prefix.writeUInt8(1)
  prefix.writeUInt32BE(text.length, 1)
  return Buffer.concat([prefix, text])
}
