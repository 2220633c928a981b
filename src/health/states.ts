import type { Lifecycle, LifecycleEvent, LifecycleState, LifecycleStep } from '../catalog/databases/entry.ts'

/*
 *                         validation-failed
 *   pending_validation ─────────────────────▶ failed ⟲ validation-failed (again after a growing pause)
 *        │        ▲                             │ │
 *        │        └────validation-requested─────┘ │
 *        │ validation-succeeded                   │ validation-succeeded
 *        ▼                                        ▼
 *     active ◀────────────────────────────────────┘
 *        │  ▲
 *        │  └── reactivated, validation-succeeded ──┐
 *        └── n-th ping-failed in a row, ──────────▶ inactive
 *            or validation-failed
 *
 * A read-only database serves reads, so once it was valid it is `active` (`ping-read-only`, sent only after the checks that
 * `reactivated` needs). One that never was fails its validation. Neither counts as a failed ping.
 *
 * `validation-cancelled` is as `validation-failed` for a database that never was valid, without another attempt.
 *
 * Everything else leaves the status as it is: a ping says nothing about a database that was never validated, and one that
 * succeeds does not reopen an inactive database, whose stamp and schema have to be looked at first (`reactivated`).
 */

export interface LifecycleOptions {
  /** Failed pings in a row after which an active database becomes inactive. */
  failuresToInactive: number
  /** 0 ≤ x < 1. */
  random?: () => number
}

const FIRST_RETRY_MS = 60_000
const MAX_RETRY_MS = 3_600_000

/** The rules of a database's life, as a pure function from state and event to the next state. */
export function createLifecycle({ failuresToInactive, random = Math.random }: LifecycleOptions): Lifecycle {
  return (state, event) => {
    if (event === 'validation-failed') return validationFailed(state, random())
    if (event === 'ping-failed') return { state: pingFailed(state, failuresToInactive), retryInMs: null }
    if (event === 'validation-cancelled') return { state: validationCancelled(state), retryInMs: null }
    if (event === 'validation-read-only') return validatedReadOnly(state, random())
    if (event === 'validation-requested') return { state: validationRequested(state), retryInMs: 0 }
    return { state: succeeded(state, event), retryInMs: null }
  }
}

/**
 * The pause before a failed validation is tried again: one minute, doubled with each failure before, at most an hour,
 * of which up to a quarter is taken away at random. Milliseconds.
 */
export function retryDelayMs(attempts: number, random: number): number {
  const full = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts, 10))
  return Math.round(full * (1 - random / 4))
}

function wasValidated({ status }: LifecycleState): boolean {
  return status === 'active' || status === 'inactive'
}

function validationFailed(state: LifecycleState, random: number): LifecycleStep {
  // What was valid once is the health check's to bring back; asking the whole validation again is the operator's.
  if (wasValidated(state)) {
    return { state: { ...state, status: 'inactive' }, retryInMs: null }
  }
  const validationAttempts = state.validationAttempts + 1
  const retryInMs = retryDelayMs(state.validationAttempts, random)
  return { state: { ...state, status: 'failed', validationAttempts }, retryInMs }
}

function validatedReadOnly(state: LifecycleState, random: number): LifecycleStep {
  if (!wasValidated(state)) return validationFailed(state, random)
  return { state, retryInMs: null }
}

/** Without a validation nothing becomes of it: it waits for an operator. */
function validationCancelled(state: LifecycleState): LifecycleState {
  return wasValidated(state) ? state : { ...state, status: 'failed' }
}

function validationRequested(state: LifecycleState): LifecycleState {
  const status = wasValidated(state) ? state.status : 'pending_validation'
  return { ...state, status, validationAttempts: 0 }
}

function pingFailed(state: LifecycleState, failuresToInactive: number): LifecycleState {
  if (!wasValidated(state)) return state
  const consecutiveFailures = state.consecutiveFailures + 1
  const status = consecutiveFailures >= failuresToInactive ? 'inactive' : state.status
  return { ...state, status, consecutiveFailures }
}

function succeeded(state: LifecycleState, event: LifecycleEvent): LifecycleState {
  if (event === 'validation-succeeded') {
    return { status: 'active', consecutiveFailures: 0, validationAttempts: 0 }
  }
  const isReopened = event === 'reactivated' || event === 'ping-read-only'
  const holds = state.status === 'active' || (state.status === 'inactive' && isReopened)
  return holds ? { ...state, status: 'active', consecutiveFailures: 0 } : state
}
