import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  DATABASE_ERRORS,
  type LifecycleEvent,
  type LifecycleState,
} from '../../../src/catalog/databases/entry.ts'
import { createLifecycle, retryDelayMs } from '../../../src/health/states.ts'

const NEW: LifecycleState = {
  status: 'pending_validation',
  consecutiveFailures: 0,
  validationAttempts: 0,
}
const EVENTS: LifecycleEvent[] = [
  'validation-requested',
  'validation-succeeded',
  'validation-failed',
  'validation-cancelled',
  'ping-succeeded',
  'ping-failed',
  'reactivated',
  'validation-read-only',
  'ping-read-only',
]
const next = createLifecycle({ failuresToInactive: 3, random: () => 0 })
const play = (...events: LifecycleEvent[]) => events.reduce((state, event) => next(state, event).state, NEW)

describe('the life of a database', () => {
  it('a validation decides between active and failed', () => {
    expect(play('validation-succeeded')).toMatchObject({ status: 'active' })
    expect(play('validation-failed')).toMatchObject({ status: 'failed' })
    expect(play('validation-failed', 'validation-failed', 'validation-succeeded').status).toBe('active')
    expect(play('validation-failed', 'validation-requested')).toEqual(NEW)
  })

  it('an active database becomes inactive after the third failed ping in a row, and not before', () => {
    expect(play('validation-succeeded', 'ping-failed', 'ping-failed').status).toBe('active')
    expect(play('validation-succeeded', 'ping-failed', 'ping-failed', 'ping-failed').status).toBe('inactive')
    const interrupted = play(
      'validation-succeeded',
      'ping-failed',
      'ping-failed',
      'ping-succeeded',
      'ping-failed',
    )
    expect(interrupted).toMatchObject({ status: 'active', consecutiveFailures: 1 })
  })

  it('an inactive database is reopened by a check of its stamp and schema, not by a ping', () => {
    const inactive = play('validation-succeeded', 'validation-failed')
    expect(inactive).toMatchObject({ status: 'inactive' })
    expect(next(inactive, 'ping-succeeded').state).toEqual(inactive)
    expect(next(inactive, 'reactivated').state).toMatchObject({ status: 'active', consecutiveFailures: 0 })
  })

  it('a database found read-only serves if it was ever valid, and counts no failure; else it has failed', () => {
    expect(play('validation-read-only')).toMatchObject({ status: 'failed' })
    expect(next(play('validation-read-only'), 'validation-read-only').retryInMs).toBeGreaterThan(0)
    const active = play('validation-succeeded', 'ping-failed', 'ping-read-only')
    expect(active).toMatchObject({ status: 'active', consecutiveFailures: 0 })
    const asked = next(active, 'validation-requested').state
    expect(next(asked, 'validation-read-only').state).toEqual(active)
    const inactive = play('validation-succeeded', 'validation-failed')
    expect(next(inactive, 'validation-read-only').state).toEqual(inactive)
    expect(next(inactive, 'ping-read-only').state.status).toBe('active')
  })

  it('a requested validation does not take an active database out of service', () => {
    const state = play('validation-succeeded', 'validation-requested')
    expect(state).toMatchObject({ status: 'active' })
    expect(next(state, 'validation-requested').retryInMs).toBe(0)
  })

  it('holds its rules for every sequence of events', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...EVENTS), { maxLength: 40 }),
        fc.integer({ min: 1, max: 5 }),
        (events, n) => {
          const step = createLifecycle({ failuresToInactive: n })
          let state = NEW
          let everValid = false
          for (const event of events) {
            const { state: reached, retryInMs } = step(state, event)
            everValid ||= event === 'validation-succeeded'
            // Nothing is served that was never valid, and nothing valid goes back to be "prepared" or "failed".
            expect(reached.status === 'active' || reached.status === 'inactive').toBe(everValid)
            if (state.status === 'inactive' && reached.status === 'active') {
              expect(['reactivated', 'validation-succeeded', 'ping-read-only']).toContain(event)
            }
            if (state.status === 'active' && reached.status === 'inactive') {
              expect(['ping-failed', 'validation-failed']).toContain(event)
            }
            if (reached.status === 'active') expect(reached.consecutiveFailures).toBeLessThan(n)
            // A candidate that was never valid is validated until an operator cancels the validation.
            if (reached.status === 'failed' && event === 'validation-failed')
              expect(retryInMs).toBeGreaterThan(0)
            state = reached
          }
        },
      ),
    )
  })

  it('retries after 1, 2, 4 … minutes, at most an hour, with a jitter of a quarter', () => {
    expect([0, 1, 2, 5, 6, 99].map((n) => retryDelayMs(n, 0) / 60_000)).toEqual([1, 2, 4, 32, 60, 60])
    fc.assert(
      fc.property(fc.nat(2_000_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (attempts, random) => {
        const delay = retryDelayMs(attempts, random)
        expect(delay).toBeGreaterThanOrEqual(45_000)
        expect(delay).toBeLessThanOrEqual(3_600_000)
      }),
    )
  })

  it('has a text of its own for each error code', () => {
    for (const text of Object.values(DATABASE_ERRORS)) expect(text).toMatch(/^[A-Z][^\n]{10,250}$/)
  })
})
