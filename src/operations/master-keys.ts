import { setTimeout as pause } from 'node:timers/promises'
import type { ChangeFollower } from '../catalog/changes/follower.ts'
import { KEY_ROTATION } from '../catalog/jobs/kinds.ts'
import { type BrokenKey, findRotation, type KeyRotation } from '../catalog/key-rotations.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { KeyUse, Vault } from '../catalog/vault.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { JobHandler, JobOutcome, RunningJob } from '../jobs/runner.ts'
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

/** Between the rounds of a rotation, of which some rows are in other hands. */
const ROUND_PAUSE_MS = 500

/**
 * What a replica does about master keys: works on rotations to its own primary key, and watches that every key that data
 * keys need is at hand.
 */
export class MasterKeys {
  readonly #parts: MasterKeysParts
  readonly #watch: Refresher
  /** Rows that were told of, of the rotation that is worked on: each round finds them again. */
  readonly #told = { rotationId: '', rowIds: new Set<string>() }
  #missing: readonly KeyUse[] = []
  /** Readings are numbered as they begin; this is the last one begun, and the one that counts. */
  #begun = 0
  #adopted = 0

  constructor(parts: MasterKeysParts) {
    const { follower, metrics, log } = parts
    this.#parts = parts
    this.#watch = new Refresher(
      () => this.check(),
      (err) => log.error({ err }, 'encryption keys not checked'),
    )
    follower.onChange(({ kind }) => {
      if (kind === 'encryption') void this.#watch.request()
    })
    follower.onReached(() => this.#watch.retry())
    follower.onGap(() => void this.#watch.request())
    metrics.watchMissingKeys(() => this.#missing.length)
  }

  /** Whether every master key that data keys need is at hand. */
  get complete(): boolean {
    return this.#missing.length === 0
  }

  /** Works on rotations. */
  get handler(): JobHandler {
    return {
      ...{ kind: KEY_ROTATION, concurrency: 1, endsWithProcess: true },
      run: (running) => this.#work(running),
    }
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

  #adopt(missing: readonly KeyUse[]): void {
    const { log } = this.#parts
    const was = namesOf(this.#missing)
    this.#missing = missing
    if (namesOf(missing) === was) return
    if (missing.length > 0) log.error({ missing }, 'encryption keys are missing')
    else log.info('no encryption key is missing any more')
  }

  /** Rounds until nothing is left. Where a round found nothing that it could do, another replica may have the keys. */
  async #work({ job, signal, note }: RunningJob): Promise<JobOutcome> {
    const { store, keyring, metrics, log } = this.#parts
    for (;;) {
      const rotation = await findRotation(store, job.subject)
      if (rotation === null || rotation.status !== 'running') return endOf(rotation)
      let rewrapped = 0
      const onRewrapped = (count: number) => {
        rewrapped += count
        metrics.countRewrapped(count)
      }
      const onBatch = () => note({ progress: progressOf(rotation, rewrapped) })
      const onBroken = (row: BrokenKey) => this.#tell(rotation, row)
      const over = await sweepKeys({ store, keyring, log, onRewrapped, onBroken, onBatch }, rotation, signal)
      if (over) continue
      signal.throwIfAborted()
      if (rewrapped === 0) return { retryInMs: ROUND_PAUSE_MS }
      await pause(ROUND_PAUSE_MS, undefined, { signal })
    }
  }

  #tell({ id }: Pick<KeyRotation, 'id'>, row: BrokenKey): void {
    if (this.#told.rotationId !== id) {
      this.#told.rotationId = id
      this.#told.rowIds.clear()
    }
    if (this.#told.rowIds.has(row.rowId)) return
    this.#told.rowIds.add(row.rowId)
    this.#parts.log.error({ ...row }, 'a data key does not open')
  }
}

function progressOf({ total, remaining }: KeyRotation, rewrapped: number) {
  return { done: Math.min(total, total - remaining + rewrapped), total }
}

function endOf(rotation: KeyRotation | null): JobOutcome {
  const { total = 0, remaining = 0, status } = rotation ?? {}
  const result = { total, remaining }
  if (status !== 'failed') return { result }
  const message = `${remaining} data keys do not open`
  return { error: { code: 'INTERNAL_ERROR', message }, result }
}

function namesOf(missing: readonly KeyUse[]): string {
  return missing.map(({ keyId }) => keyId).join()
}
