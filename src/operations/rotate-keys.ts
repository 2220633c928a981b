import { setTimeout as pause } from 'node:timers/promises'
import type { Actor } from '../catalog/audit/entries.ts'
import {
  type Batch,
  type BrokenKey,
  endRotation,
  latestRotation,
  type RotationRef,
  rewrapBatch,
  startRotation,
} from '../catalog/key-rotations.ts'
import type { CatalogStore } from '../catalog/store.ts'
import type { Vault } from '../catalog/vault.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { fail } from '../errors.ts'
import { systemClock } from '../lib/clock.ts'
import type { EncryptionState } from './operations.ts'

export interface RotateKeysDeps {
  readonly store: CatalogStore
  readonly vault: Pick<Vault, 'usedKeys' | 'missingKeys'>
  readonly keyring: Keyring
  /** Lets the rotation start now, before the next poll. */
  readonly wake: () => void
}

export interface SweepDeps extends Pick<RotateKeysDeps, 'store' | 'keyring'> {
  readonly log: { error(fields: object, message: string): void; info(fields: object, message: string): void }
  readonly onRewrapped: (count: number) => void
  /** Called in each round, for each data key that does not open. */
  readonly onBroken: (row: BrokenKey) => void
  /** Called after each batch. */
  readonly onBatch?: () => Promise<void>
}

/** Longer than the time for which a killed process counts as alive. */
const OTHERS_TIMEOUT_MS = 11_000
const OTHERS_POLL_MS = 250
/** An id that sorts before every row id. */
const FIRST = '00000000-0000-0000-0000-000000000000'

/**
 * Starts a rotation: a job wraps every data key under the primary master key. If a rotation to that key is running, it goes on.
 * @throws PublicError CONFLICT while a live replica has another primary key, or if a needed master key is missing
 */
export async function rotateKeys(deps: RotateKeysDeps, actor: Actor): Promise<EncryptionState> {
  const [missing] = await deps.vault.missingKeys()
  if (missing !== undefined) {
    const detail = `Secrets are sealed under the key ${missing.keyId}, which this gateway was not given. Add it to ENCRYPTION_KEYS_RETIRED.`
    throw fail('CONFLICT', { detail })
  }
  await start(deps, actor)
  deps.wake()
  return describeEncryption(deps)
}

async function start({ store, keyring }: RotateKeysDeps, actor: Actor): Promise<void> {
  const deadline = systemClock.monotonic() + OTHERS_TIMEOUT_MS
  for (;;) {
    const others = await startRotation(store, { keyId: keyring.primaryKeyId, actor })
    if (others.length === 0) return
    if (systemClock.monotonic() >= deadline) throw fail('CONFLICT', { detail: otherKeys(others) })
    await pause(OTHERS_POLL_MS)
  }
}

function otherKeys(others: readonly (string | null)[]): string {
  const named = others.map((keyId) => keyId ?? 'unknown (an older version)').join(', ')
  return `A gateway that is running seals under another key: ${named}. Give all of them the same ENCRYPTION_KEY, and repeat.`
}

/** Reads which master keys are in use, and the progress of the latest rotation. */
export async function describeEncryption({
  store,
  vault,
  keyring,
}: Omit<RotateKeysDeps, 'wake'>): Promise<EncryptionState> {
  // The rotation is read first. If it is done, the counts are from after its end.
  const rotation = await latestRotation(store)
  const counts = Object.fromEntries((await vault.usedKeys()).map(({ keyId, count }) => [keyId, count]))
  return { currentKeyId: keyring.primaryKeyId, counts, rotation }
}

/**
 * One round over all data keys that a rotation has left. The service's own data key comes first: from then on no process starts
 * without the new master key. True if the rotation is over. It is not over while another transaction holds some of the rows.
 */
export async function sweepKeys(
  deps: SweepDeps,
  rotation: RotationRef,
  signal: AbortSignal,
): Promise<boolean> {
  const broken: string[] = []
  let after: string | null = null
  do {
    if (signal.aborted) return false
    const batch: Batch | null = await rewrapBatch(deps.store, deps.keyring, { rotation, after })
    if (batch === null) return true
    deps.onRewrapped(batch.rewrapped)
    for (const row of batch.broken) deps.onBroken(row)
    broken.push(...batch.broken.map(({ rowId }) => rowId))
    await deps.onBatch?.()
    after = after === null ? FIRST : batch.last
  } while (after !== null)
  return conclude(deps, rotation, broken)
}

async function conclude(
  { store, log }: SweepDeps,
  rotation: RotationRef,
  broken: readonly string[],
): Promise<boolean> {
  const ended = await endRotation(store, rotation, broken)
  const fields = { rotationId: rotation.id, keyId: rotation.keyId, remaining: ended?.remaining }
  if (ended?.status === 'done') log.info(fields, 'encryption keys rotated')
  if (ended?.status === 'failed') log.error(fields, 'encryption keys not rotated')
  return ended?.status !== 'running'
}
