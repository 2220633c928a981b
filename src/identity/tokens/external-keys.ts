import { type CryptoKey, createLocalJWKSet, errors, type JSONWebKeySet, type JWK } from 'jose'
import { type Clock, systemClock } from '../../lib/clock.ts'
import { SingleFlight } from '../../lib/single-flight.ts'
import { canonicalAlgorithm } from './external-settings.ts'
import { isObject, parseStrictObject } from './strict-json.ts'

export interface ExternalKeysOptions {
  readonly jwksUri: string
  readonly log: { warn(details: object, message: string): void }
  readonly clock?: Clock
  readonly timeoutMs?: number
  readonly maxBytes?: number
  /** After this time the keys are read again. */
  readonly maxAgeMs?: number
  /** The shortest time between two readings, also for invented names of keys and for an endpoint that fails. */
  readonly cooldownMs?: number
  /** The same while no key is known. */
  readonly firstRetryMs?: number
  /** How long known keys are used while the endpoint does not return new ones. */
  readonly maxStalenessMs?: number
}

/** The key's name and algorithm in a token's header, and the directory if one list has the keys of many directories. */
export interface KeyRequest {
  readonly alg: string
  readonly kid?: string
  readonly directory?: { readonly tid: string; readonly iss: string }
}

type Reason = 'old' | 'unknown'
type KeySet = ReturnType<typeof createLocalJWKSet>

const MAX_KEYS = 100
const PUBLIC_KINDS: readonly unknown[] = ['RSA', 'EC', 'OKP']
const DEFAULTS = {
  timeoutMs: 3_000,
  maxBytes: 256 * 1024,
  maxAgeMs: 600_000,
  cooldownMs: 30_000,
  firstRetryMs: 5_000,
  maxStalenessMs: 86_400_000,
  clock: systemClock,
}

/**
 * The public keys of one issuer, read only from the address in the settings. They are read when first needed, when they are old,
 * and when a token names an unknown key.
 *
 *   none ──read──▶ fresh ──maxAge──▶ old ──read──▶ fresh;  old keys serve while reading fails, until maxStaleness
 */
export class ExternalKeys {
  readonly #options: Required<ExternalKeysOptions>
  readonly #reading = new SingleFlight<void>()
  #set: KeySet | null = null
  #keys: readonly JWK[] = []
  #readAt = Number.NEGATIVE_INFINITY
  /** The time of the last reading for each reason: an invented name of a key must not delay the reading of old keys. */
  readonly #triedAt = new Map<Reason, number>()

  constructor(options: ExternalKeysOptions) {
    this.#options = { ...DEFAULTS, ...options }
  }

  /** The matching key. Undefined if there is none, or more than one, or if the keys cannot be read. */
  async find(request: KeyRequest): Promise<CryptoKey | undefined> {
    const isOld = this.#ageMs() >= this.#options.maxAgeMs
    if (isOld) await this.#read('old')
    const found = await this.#pick(request)
    if (found !== undefined || isOld) return found
    await this.#read('unknown')
    return this.#pick(request)
  }

  async #pick(request: KeyRequest): Promise<CryptoKey | undefined> {
    const { alg, kid } = request
    if (this.#set === null || this.#ageMs() >= this.#options.maxStalenessMs) return undefined
    if (!this.#keys.every((key) => mayServe(key, request))) return undefined
    try {
      return await this.#set({ alg: canonicalAlgorithm(alg), ...(kid !== undefined && { kid }) })
    } catch (error) {
      // No key fits, several keys fit, or the key is not usable.
      if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof DOMException)
        return undefined
      throw error
    }
  }

  #ageMs(): number {
    return this.#options.clock.monotonic() - this.#readAt
  }

  /** Callers that wait share one read. A failure is logged and not thrown, because the known keys may be enough. */
  #read(reason: Reason): Promise<void> {
    const { clock, cooldownMs, firstRetryMs } = this.#options
    return this.#reading.run('', async () => {
      const now = clock.monotonic()
      const sinceMs = now - (this.#triedAt.get(reason) ?? Number.NEGATIVE_INFINITY)
      if (sinceMs < (this.#set === null ? firstRetryMs : cooldownMs)) return
      this.#triedAt.set(reason, now)
      await this.#readAnew()
    })
  }

  async #readAnew(): Promise<void> {
    const { jwksUri, log, clock } = this.#options
    try {
      const read = await this.#fetch()
      this.#set = createLocalJWKSet(read)
      this.#keys = read.keys
      this.#readAt = clock.monotonic()
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown'
      log.warn({ jwksUri, reason }, 'keys of a trusted issuer not read')
    }
  }

  async #fetch(): Promise<JSONWebKeySet> {
    const { jwksUri, timeoutMs, maxBytes } = this.#options
    const response = await fetch(jwksUri, {
      // The settings do not name the address that a redirect leads to.
      redirect: 'error',
      // The time limit includes the body.
      signal: AbortSignal.timeout(timeoutMs),
      headers: { accept: 'application/jwk-set+json, application/json' },
    })
    if (response.status !== 200) {
      await response.body?.cancel()
      throw new Error(`answered ${response.status}`)
    }
    return readKeySet(await readBytes(response, maxBytes))
  }
}

async function readBytes(response: Response, maxBytes: number): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  let length = 0
  // Leaving the loop early ends the connection.
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > maxBytes) throw new Error(`is larger than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Public keys only: a shared secret in a public list is no secret. */
function readKeySet(bytes: Buffer): JSONWebKeySet {
  const { keys } = parseStrictObject(bytes)
  if (!Array.isArray(keys) || keys.length > MAX_KEYS) throw new Error('is no list of keys')
  const usable = keys.filter((key): key is JWK => isObject(key) && PUBLIC_KINDS.includes(key.kty))
  return { keys: usable.map((key) => ({ ...key, ...(key.alg && { alg: canonicalAlgorithm(key.alg) }) })) }
}

/**
 * In a list for many directories, Entra adds `issuer` to each key, with `{tenantid}` instead of a directory's id when the key
 * signs for all directories. Keys with another `kid` are not checked here.
 */
function mayServe(key: JWK & { issuer?: unknown }, { kid, directory }: KeyRequest): boolean {
  if (directory === undefined || typeof key.issuer !== 'string') return true
  if (kid !== undefined && key.kid !== kid) return true
  return key.issuer.replaceAll('{tenantid}', directory.tid) === directory.iss
}
