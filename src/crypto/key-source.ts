import { createHash, hkdfSync, randomBytes } from 'node:crypto'

const KEY_BYTES = 32
const FINGERPRINT_BYTES = 8

/** A text is not a usable 32-byte key. The message says why and never repeats the text. */
export class KeyFormatError extends Error {
  override readonly name = 'KeyFormatError'
  readonly code = 'KEY_FORMAT'
}

/**
 * The key that wraps data keys. Its bytes cannot be read. It only derives subkeys, one for each label, so that two uses never share key
 * material.
 */
export class MasterKey {
  /** Fingerprint: 16 hex digits, the same for the same bytes in every process. */
  readonly id: string
  readonly #bytes: Buffer

  /**
   * Copies the bytes.
   *
   * @throws KeyFormatError if there are not 32 of them, or all are equal.
   */
  constructor(bytes: Uint8Array) {
    if (bytes.length !== KEY_BYTES) throw new KeyFormatError(`a key has exactly ${KEY_BYTES} bytes`)
    if (bytes.every((byte) => byte === bytes[0])) {
      throw new KeyFormatError('a key of one repeated byte is a placeholder, not a key')
    }
    this.#bytes = Buffer.from(bytes)
    this.id = fingerprint('freehold/master-key/id/v1', this.#bytes)
  }

  /** A 32-byte key for one use, named by `label` (HKDF-SHA256). */
  subkey(label: string): Buffer {
    return deriveSubkey(this.#bytes, label)
  }

  toString(): string {
    return `[master key ${this.id}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}

// Buffer.from(x, 'hex' | 'base64') never fails. It stops at or skips wrong characters, so a mistyped key would
// become a shorter or different key. The form is therefore checked first.
const HEX = /^(?:[0-9a-f]{64}|[0-9A-F]{64})$/
// 32 bytes are 43 characters. The last one carries four bits; its two lowest bits must be zero, or several
// texts would mean one key.
const BASE64 = /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=?$/
const BASE64URL = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]=?$/

/**
 * Reads a master key: 32 bytes as 64 hex digits or as base64 (standard or URL alphabet, padded or not).
 *
 * @throws KeyFormatError for any other text, also for one with white space around it or for a key of one repeated byte.
 */
export function parseMasterKey(text: string): MasterKey {
  return new MasterKey(decodeKey(text))
}

/** A new random master key, as base64 text that `parseMasterKey` reads. */
export function generateMasterKey(): string {
  return randomBytes(KEY_BYTES).toString('base64')
}

/** A 32-byte HKDF-SHA256 subkey. `label` separates the uses; the input key is random, so no salt is needed. */
export function deriveSubkey(key: Uint8Array, label: string): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), label, KEY_BYTES))
}

/** The public name of a key: 16 hex digits that do not reveal the key. `domain` names the kind of key. */
export function fingerprint(domain: string, key: Uint8Array): string {
  const hash = createHash('sha256').update(domain).update('\0').update(key).digest()
  return hash.toString('hex', 0, FINGERPRINT_BYTES)
}

function decodeKey(text: string): Buffer {
  if (typeof text !== 'string' || text === '') throw new KeyFormatError('the key is missing')
  if (text !== text.trim()) throw new KeyFormatError('the key is surrounded by white space')
  if (HEX.test(text)) return Buffer.from(text, 'hex')
  if (BASE64.test(text) || BASE64URL.test(text)) return Buffer.from(text, 'base64')
  throw new KeyFormatError(`a key is ${KEY_BYTES} bytes, written as base64 or as ${KEY_BYTES * 2} hex digits`)
}
