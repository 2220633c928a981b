import { expect, test } from 'vitest'
import { LanePause } from '../../../src/sql/lanes/lane-pause.ts'

function pauseAt() {
  const clock = { now: 0 }
  const pause = new LanePause(() => clock.now)
  /** Lets time pass until the pause is over. Returns how long that takes. */
  const waitMs = () => {
    const begunAt = clock.now
    while (!pause.isOver) clock.now += 100
    return clock.now - begunAt
  }
  return { clock, pause, waitMs }
}

test('no lane is opened for a second after one has ended', () => {
  const { pause, waitMs } = pauseAt()
  expect(waitMs()).toBe(0)
  for (let n = 0; n < 3; n += 1) {
    pause.begin()
    expect(waitMs()).toBe(1_000)
  }
})

test('the pause doubles with each violation, up to a minute', () => {
  const { pause, waitMs } = pauseAt()
  const waits = Array.from({ length: 8 }, () => {
    pause.beginAfterViolation()
    pause.begin()
    return waitMs()
  })
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
})

test('violations on several lanes at once count as one', () => {
  const { pause, waitMs } = pauseAt()
  for (let n = 0; n < 4; n += 1) pause.beginAfterViolation()
  expect(waitMs()).toBe(1_000)
  pause.beginAfterViolation()
  expect(waitMs()).toBe(2_000)
})

test('a violation is forgotten after a minute without another', () => {
  const { clock, pause, waitMs } = pauseAt()
  for (let n = 0; n < 3; n += 1) {
    pause.beginAfterViolation()
    waitMs()
  }
  clock.now += 60_100
  pause.beginAfterViolation()
  expect(waitMs()).toBe(1_000)
})
