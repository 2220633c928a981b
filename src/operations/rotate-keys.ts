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
  /** Has the rotation begun without waiting for the next look at the jobs. */
  readonly wake: () => void
}

export interface SweepDeps extends Pick<RotateKeysDeps, 'store' | 'keyring'> {
  readonly log: { error(fields: object, message: string): void; info(fields: object, message: string): void }
  readonly onRewrapped: (count: number) => void
  /** Called in each round, for each. */
  readonly onBroken: (row: BrokenKey) => void
  /** Called after each batch. */
  readonly onBatch?: () => Promise<void>
}

/** Until a process that was killed a moment ago has lapsed from the list of those that live, and some. */
const OTHERS_TIMEOUT_MS = 11_000
const OTHERS_POLL_MS = 250
/** Before every row id. */
const FIRST = '00000000-0000-0000-0000-000000000000'

/**
 * Begins to wrap every data key anew under the primary master key; a rotation to it that is running goes on. The work is
 * a job in the background.
 * @throws PublicError CONFLICT while a replica lives that has another primary key, or when a key that is needed is not at hand
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

/** Which master keys are in use, and how the latest rotation goes. */
export async function describeEncryption({
  store,
  vault,
  keyring,
}: Omit<RotateKeysDeps, 'wake'>): Promise<EncryptionState> {
  // The rotation first: one that says it is done has counts that agree.
  const rotation = await latestRotation(store)
  const counts = Object.fromEntries((await vault.usedKeys()).map(({ keyId, count }) => [keyId, count]))
  return { currentKeyId: keyring.primaryKeyId, counts, rotation }
}

/**
 * One round through all that is left of a rotation: the service's own data key first, so that from here on no process
 * starts without the new master key. Answers whether it is over; it is not while somebody else is at some of the rows.
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
  const told = { rotationId: rotation.id, keyId: rotation.keyId, remaining: ended?.remaining }
  if (ended?.status === 'done') log.info(told, 'encryption keys rotated')
  if (ended?.status === 'failed') log.error(told, 'encryption keys not rotated')
  return ended?.status !== 'running'
}
