import { createHmac, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import {
  type Binding,
  open,
  SealBrokenError,
  type SealingKey,
  seal,
  sealedKeyId,
  UnknownKeyError,
} from './envelope.ts'
import { deriveSubkey, fingerprint, type MasterKey } from './key-source.ts'

/** What a data key is used for. Each purpose has a subkey of its own. */
export type Purpose =
  | 'database-credential'
  | 'server-credential'
  | 'signing-key'
  | 'client-key-hash'
  | 'operator-token-hash'
  | 'cursor'
  | 'refresh-successor'
  | 'audit-seal'
  | 'audit-person'
  | 'job-payload'
  | 'residence-seal'

const DATA_KEY_BYTES = 32
const WRAP_LABEL = 'freehold/master-key/wrap-data-key/v1'

// The only access to a data key's bytes. DataKey's static block assigns both functions. Keyring below can use
// them, other modules cannot.
let wrapWith: (dataKey: DataKey, key: SealingKey, binding: Binding) => Buffer
let unwrapWith: (sealed: Uint8Array, key: SealingKey, binding: Binding) => DataKey

/**
 * A tenant's own random key. It seals, opens and authenticates with one HKDF-SHA256 subkey per purpose and
 * kind of use. A subkey is derived at its first use and kept. Only a `Keyring` gets the bytes, to wrap them.
 */
export class DataKey {
  /** Fingerprint: 16 hex digits. Sealed values carry it. */
  readonly id: string
  readonly #bytes: Buffer
  readonly #subkeys = new Map<string, SealingKey>()
  readonly #macKeys = new Map<Purpose, KeyObject>()

  private constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.id = fingerprint('freehold/data-key/id/v1', bytes)
  }

  static generate(): DataKey {
    return new DataKey(randomBytes(DATA_KEY_BYTES))
  }

  /** Seals a text (as UTF-8) or bytes for `binding`. */
  seal(purpose: Purpose, plaintext: string | Uint8Array, binding: Binding): Buffer {
    const bytes = typeof plaintext === 'string' ? Buffer.from(plaintext, 'utf8') : plaintext
    return seal(this.#subkey('seal', purpose), bytes, binding)
  }

  /**
   * Opens a value that `seal` made for the same purpose and binding.
   *
   * @throws UnknownKeyError when another data key sealed it.
   * @throws SealBrokenError when it was changed, moved or sealed for another purpose.
   */
  open(purpose: Purpose, sealed: Uint8Array, binding: Binding): Buffer {
    return open(this.#subkey('seal', purpose), sealed, binding)
  }

  /** HMAC-SHA256 (32 bytes) of a text or bytes. Compare two of them with `timingSafeEqual`. */
  mac(purpose: Purpose, message: string | Uint8Array): Buffer {
    return createHmac('sha256', this.#macKey(purpose)).update(message).digest()
  }

  toString(): string {
    return `[data key ${this.id}]`
  }

  toJSON(): string {
    return this.toString()
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  /** Caches a KeyObject, because each request with a client key uses it. With the key as bytes, Node would need four times as long. */
  #macKey(purpose: Purpose): KeyObject {
    const known = this.#macKeys.get(purpose)
    if (known) return known
    const made = createSecretKey(this.#subkey('mac', purpose).bytes)
    this.#macKeys.set(purpose, made)
    return made
  }

  #subkey(use: 'seal' | 'mac', purpose: Purpose): SealingKey {
    const label = `freehold/data-key/${use}/${purpose}/v1`
    const known = this.#subkeys.get(label)
    if (known) return known
    const made = { id: this.id, bytes: deriveSubkey(this.#bytes, label) }
    this.#subkeys.set(label, made)
    return made
  }

  static {
    wrapWith = (dataKey, key, binding) => seal(key, dataKey.#bytes, binding)
    unwrapWith = (sealed, key, binding) => {
      const bytes = open(key, sealed, binding)
      if (bytes.length !== DATA_KEY_BYTES) throw new SealBrokenError()
      return new DataKey(bytes)
    }
  }
}

/** The master keys of this process: the primary one seals, every listed one opens. */
export class Keyring {
  readonly primaryKeyId: string
  /** Primary first, then the retired ones; each once. */
  readonly keyIds: readonly string[]
  readonly #primary: SealingKey
  readonly #wrappingKeys: ReadonlyMap<string, SealingKey>

  /** A retired key that is listed twice or equals the primary key counts once. */
  constructor(primary: MasterKey, retired: readonly MasterKey[] = []) {
    this.#primary = wrappingKey(primary)
    // A Map keeps the position of the first entry for an id, so the primary key stays first.
    this.#wrappingKeys = new Map([primary, ...retired].map((key) => [key.id, wrappingKey(key)]))
    this.primaryKeyId = primary.id
    this.keyIds = Object.freeze([...this.#wrappingKeys.keys()])
  }

  /** Seals a data key under the primary master key for `binding`. */
  wrapDataKey(dataKey: DataKey, binding: Binding): Buffer {
    return wrapWith(dataKey, this.#primary, binding)
  }

  /**
   * Opens a wrapped data key with the master key that sealed it.
   *
   * @throws UnknownKeyError when that key is not listed.
   * @throws SealBrokenError when the value was changed or moved.
   */
  unwrapDataKey(sealed: Uint8Array, binding: Binding): DataKey {
    const keyId = sealedKeyId(sealed)
    const key = this.#wrappingKeys.get(keyId)
    if (!key) throw new UnknownKeyError(keyId)
    return unwrapWith(sealed, key, binding)
  }
}

function wrappingKey(master: MasterKey): SealingKey {
  return { id: master.id, bytes: master.subkey(WRAP_LABEL) }
}
