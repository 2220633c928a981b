import { setTimeout as pause } from 'node:timers/promises'
import type { ChangeFollower } from '../catalog/changes.ts'
import { type BrokenKey, type RotationRef, runningRotation } from '../catalog/key-rotations.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { KeyUse, Vault } from '../catalog/vault.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { Worker } from '../jobs/worker.ts'
import { Refresher } from '../lib/refresher.ts'
import type { Logger } from '../logger.ts'
import type { Metrics } from '../metrics.ts'
import { sweepKeys } from './rotate-keys.ts'

export interface MasterKeysParts {
  readonly store: CatalogStore
  readonly vault: Pick<Vault, 'missingKeys'>
  readonly keyring: Keyring
  readonly follower: Pick<ChangeFollower, 'onChange' | 'onReached' | 'onGap'>
  readonly metrics: Metrics
  readonly log: Logger
}

const POLL_MS = 2_000
/** Between the rounds of a rotation, of which some rows are in other hands. */
const ROUND_PAUSE_MS = 500

/**
 * What a replica does about master keys: works on rotations to its own primary key, whoever began them, and watches that
 * every key that data keys need is at hand.
 */
export class MasterKeys {
  readonly #parts: MasterKeysParts
  readonly #worker: Worker<RotationRef>
  readonly #watch: Refresher
  readonly #stopping = new AbortController()
  /** Rows that were told of, of the rotation that is worked on: each round finds them again. */
  readonly #told = { rotationId: '', rowIds: new Set<string>() }
  #missing: readonly KeyUse[] = []
  /** Readings are numbered as they begin; this is the last one begun, and the one that counts. */
  #begun = 0
  #adopted = 0

  constructor(parts: MasterKeysParts) {
    const { store, keyring, follower, metrics, log } = parts
    this.#parts = parts
    this.#worker = new Worker({
      claim: async () => {
        const rotation = await runningRotation(store, keyring.primaryKeyId)
        return rotation === null ? [] : [rotation]
      },
      run: (rotation) => this.#work(rotation),
      onError: (err) => log.error({ err }, 'key rotation interrupted'),
      concurrency: 1,
      pollMs: POLL_MS,
    })
    this.#watch = new Refresher(
      () => this.check(),
      (err) => log.error({ err }, 'encryption keys not checked'),
    )
    follower.onChange(({ kind }) => {
      if (kind === 'encryption') this.#look()
    })
    follower.onReached(() => this.#watch.retry())
    follower.onGap(() => this.#look())
    metrics.watchMissingKeys(() => this.#missing.length)
  }

  /** Whether every master key that data keys need is at hand. */
  get complete(): boolean {
    return this.#missing.length === 0
  }

  start(): void {
    this.#worker.start()
  }

  /** Ends after the batch under way; who goes on finds the rest in the catalog. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#worker.stop()
  }

  /** Looks for a rotation to work on, now. */
  wake(): void {
    this.#worker.wake()
  }

  /** Reads which keys are needed. */
  async check(): Promise<void> {
    this.#begun += 1
    const turn = this.#begun
    const missing = await this.#parts.vault.missingKeys()
    // A slow reading must not put back what a later one has replaced.
    if (turn < this.#adopted) return
    this.#adopted = turn
    this.#adopt(missing)
  }

  #look(): void {
    void this.#watch.request()
    this.#worker.wake()
  }

  #adopt(missing: readonly KeyUse[]): void {
    const { log } = this.#parts
    const was = namesOf(this.#missing)
    this.#missing = missing
    if (namesOf(missing) === was) return
    if (missing.length > 0) log.error({ missing }, 'encryption keys are missing')
    else log.info('no encryption key is missing any more')
  }

  async #work(rotation: RotationRef): Promise<void> {
    const { store, keyring, metrics, log } = this.#parts
    const { signal } = this.#stopping
    const onRewrapped = (count: number) => metrics.countRewrapped(count)
    const onBroken = (row: BrokenKey) => this.#tell(rotation, row)
    let over = false
    try {
      over = await sweepKeys({ store, keyring, log, onRewrapped, onBroken }, rotation, signal)
    } catch (err) {
      log.error({ err }, 'key rotation interrupted')
    }
    // It would be claimed again at once.
    if (!over) await pause(ROUND_PAUSE_MS, undefined, { signal }).catch(() => undefined)
  }

  #tell({ id }: RotationRef, row: BrokenKey): void {
    if (this.#told.rotationId !== id) {
      this.#told.rotationId = id
      this.#told.rowIds.clear()
    }
    if (this.#told.rowIds.has(row.rowId)) return
    this.#told.rowIds.add(row.rowId)
    this.#parts.log.error({ ...row }, 'a data key does not open')
  }
}

function namesOf(missing: readonly KeyUse[]): string {
  return missing.map(({ keyId }) => keyId).join()
}
