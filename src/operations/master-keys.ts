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

/** Between two rounds of a rotation, while other transactions hold some of the rows. */
const ROUND_PAUSE_MS = 500

/**
 * The part of a replica that deals with master keys. It works on rotations to its own primary key, and watches whether it has
 * every master key that data keys need.
 */
export class MasterKeys {
  readonly #parts: MasterKeysParts
  readonly #watch: Refresher
  /** Rows of the current rotation that were logged already. Each round finds them again, and must not log them again. */
  readonly #logged = { rotationId: '', rowIds: new Set<string>() }
  #missing: readonly KeyUse[] = []
  /** The number of the last read that was started. Reads are numbered in the order in which they start. */
  #started = 0
  /** The number of the read whose result counts. */
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

  /** True if this process has every master key that data keys need. */
  get complete(): boolean {
    return this.#missing.length === 0
  }

  /** The handler of rotation jobs. */
  get handler(): JobHandler {
    return {
      ...{ kind: KEY_ROTATION, concurrency: 1, endsWithProcess: true },
      run: (running) => this.#work(running),
    }
  }

  /** Reads which keys are needed. */
  async check(): Promise<void> {
    this.#started += 1
    const read = this.#started
    const missing = await this.#parts.vault.missingKeys()
    // A slow read must not replace the result of a later one.
    if (read < this.#adopted) return
    this.#adopted = read
    this.#adopt(missing)
  }

  #adopt(missing: readonly KeyUse[]): void {
    const { log } = this.#parts
    const before = namesOf(this.#missing)
    this.#missing = missing
    if (namesOf(missing) === before) return
    if (missing.length > 0) log.error({ missing }, 'encryption keys are missing')
    else log.info('all encryption keys are available again')
  }

  /** Works in rounds until nothing is left. If a round could do nothing, another replica may have the keys that are needed. */
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
      const onBroken = (row: BrokenKey) => this.#logBroken(rotation, row)
      const isOver = await sweepKeys(
        { store, keyring, log, onRewrapped, onBroken, onBatch },
        rotation,
        signal,
      )
      if (isOver) continue
      signal.throwIfAborted()
      if (rewrapped === 0) return { retryInMs: ROUND_PAUSE_MS }
      await pause(ROUND_PAUSE_MS, undefined, { signal })
    }
  }

  #logBroken({ id }: Pick<KeyRotation, 'id'>, row: BrokenKey): void {
    if (this.#logged.rotationId !== id) {
      this.#logged.rotationId = id
      this.#logged.rowIds.clear()
    }
    if (this.#logged.rowIds.has(row.rowId)) return
    this.#logged.rowIds.add(row.rowId)
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
