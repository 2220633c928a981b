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
 * A read-only database serves reads. If it was valid before, it is `active` (`ping-read-only`, sent only after the checks that
 * `reactivated` needs). If it was never valid, its validation fails. Neither counts as a failed ping.
 *
 * `validation-cancelled` is like `validation-failed` for a database that was never valid, but without another attempt.
 *
 * Other events do not change the status. A ping says nothing about a database that was never validated. A ping that succeeds does not
 * make an inactive database active: its stamp and schema must be checked first (`reactivated`).
 */

export interface LifecycleOptions {
  /** Failed pings in a row after which an active database becomes inactive. */
  failuresToInactive: number
  /** 0 ≤ x < 1. */
  random?: () => number
}

const FIRST_RETRY_MS = 60_000
const MAX_RETRY_MS = 3_600_000

/** The rules of a database's status, as a pure function from state and event to the next state. */
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
 * The pause before a failed validation runs again: one minute, doubled with each failure, at most an hour. It is
 * shortened at random by up to a quarter, so that the validations of one server's databases do not run at the same time.
 */
export function retryDelayMs(attempts: number, random: number): number {
  const full = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempts, 10))
  return Math.round(full * (1 - random / 4))
}

function wasValidated({ status }: LifecycleState): boolean {
  return status === 'active' || status === 'inactive'
}

function validationFailed(state: LifecycleState, random: number): LifecycleStep {
  // A database that was valid before becomes active again through a health check, or through a validation that an operator requests.
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

/** The database stays as it is until an operator requests another validation. */
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
