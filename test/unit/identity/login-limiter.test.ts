import { expect, test } from 'vitest'
import { LoginLimiter } from '../../../src/identity/login/limiter.ts'

const policy = { attempts: 3, windowSeconds: 60 }
const ana = { tenantId: 't1', identifier: 'ana' }

function limiterAt(start = 1_000_000) {
  const clock = { now: start }
  return { clock, limiter: new LoginLimiter({ now: () => clock.now }) }
}

test('locks after the allowed attempts, says for how long, and unlocks again', () => {
  const { clock, limiter } = limiterAt()
  for (let i = 0; i < 3; i += 1) limiter.begin(ana, policy)
  clock.now += 20_000
  expect(() => limiter.begin(ana, policy)).toThrow(
    expect.objectContaining({ code: 'ACCOUNT_LOCKED', retryAfterSeconds: 40 }),
  )
  clock.now += 40_000
  expect(() => limiter.begin(ana, policy)).not.toThrow()
})

test('counts attempts that are still running', () => {
  const { limiter } = limiterAt()
  const outcomes = Array.from({ length: 10 }, () => {
    try {
      limiter.begin(ana, policy)
      return 'allowed'
    } catch {
      return 'locked'
    }
  })
  expect(outcomes.filter((outcome) => outcome === 'allowed')).toHaveLength(3)
})

test('forgets wrong passwords after the right one', () => {
  const { limiter } = limiterAt()
  limiter.begin(ana, policy)
  limiter.begin(ana, policy)
  limiter.clear(ana)
  for (let i = 0; i < 3; i += 1) expect(() => limiter.begin(ana, policy)).not.toThrow()
})

test('does not count attempts without an answer', () => {
  const { limiter } = limiterAt()
  for (let i = 0; i < 10; i += 1) {
    limiter.begin(ana, policy)
    limiter.refund(ana)
  }
  expect(() => limiter.begin(ana, policy)).not.toThrow()
})

test('counts each user of each tenant separately', () => {
  const { limiter } = limiterAt()
  for (let i = 0; i < 3; i += 1) limiter.begin(ana, policy)
  expect(() => limiter.begin({ ...ana, tenantId: 't2' }, policy)).not.toThrow()
  expect(() => limiter.begin({ ...ana, identifier: 'ben' }, policy)).not.toThrow()
})
