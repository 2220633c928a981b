import { describe, expect, test } from 'vitest'
import { Refresher } from '../../../src/lib/refresher.ts'

function setUp() {
  const readings: PromiseWithResolvers<void>[] = []
  const failures: unknown[] = []
  const read = () => {
    const reading = Promise.withResolvers<void>()
    readings.push(reading)
    return reading.promise
  }
  return { readings, failures, refresher: new Refresher(read, (error) => failures.push(error)) }
}

const settled = () => new Promise((resolve) => setImmediate(resolve))

describe('Refresher', () => {
  test('reads on request, and again only after a failure', async () => {
    const { readings, failures, refresher } = setUp()
    refresher.retry()
    expect(readings).toHaveLength(0)
    void refresher.request()
    readings[0]?.reject(new Error('away'))
    await settled()
    expect(failures).toHaveLength(1)
    refresher.retry()
    readings[1]?.resolve()
    await settled()
    refresher.retry()
    expect(readings).toHaveLength(2)
  })

  test('does not answer a request with a read that began before it', async () => {
    const { readings, refresher } = setUp()
    void refresher.request()
    void refresher.request()
    readings[1]?.reject(new Error('away'))
    readings[0]?.resolve()
    await settled()
    refresher.retry()
    expect(readings).toHaveLength(3)
  })

  test('resolves a request when a read that began after it has succeeded', async () => {
    const { readings, refresher } = setUp()
    const answered: string[] = []
    const first = refresher.request().then(() => answered.push('first'))
    const second = refresher.request().then(() => answered.push('second'))
    readings[1]?.reject(new Error('away'))
    readings[0]?.resolve()
    await first
    await settled()
    expect(answered).toEqual(['first'])
    refresher.retry()
    readings[2]?.resolve()
    await second
    expect(answered).toEqual(['first', 'second'])
  })
})
