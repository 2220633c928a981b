import { describe, expect, it } from 'vitest'
import { SingleFlight } from '../../../src/lib/single-flight.ts'

describe('single flight', () => {
  it('shares one call between all concurrent callers, and makes a new one later', async () => {
    const flights = new SingleFlight<number>()
    let calls = 0
    const call = async () => ++calls
    const answers = await Promise.all(Array.from({ length: 500 }, () => flights.run('a', call)))
    expect(new Set(answers)).toEqual(new Set([1]))
    expect(await flights.run('a', call)).toBe(2)
    expect(flights.size).toBe(0)
  })

  it('makes separate calls for different keys', async () => {
    const flights = new SingleFlight<string>()
    expect(await Promise.all([flights.run('a', async () => 'A'), flights.run('b', async () => 'B')])).toEqual(
      ['A', 'B'],
    )
  })

  it('gives a failure to those who waited and not to later callers, also one thrown at once', async () => {
    const flights = new SingleFlight<number>()
    const broken = (): Promise<number> => {
      throw new Error('no')
    }
    const both = await Promise.allSettled([flights.run('a', broken), flights.run('a', broken)])
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    expect(await flights.run('a', async () => 1)).toBe(1)
  })

  it('after forget() a new call begins, and the end of the old one does not end it', async () => {
    const flights = new SingleFlight<number>()
    const old = Promise.withResolvers<number>()
    const newer = Promise.withResolvers<number>()
    const first = flights.run('a', () => old.promise)
    flights.forget('a')
    const second = flights.run('a', () => newer.promise)
    old.resolve(1)
    expect(await first).toBe(1)
    const third = flights.run('a', async () => 3)
    newer.resolve(2)
    expect(await Promise.all([second, third])).toEqual([2, 2])
  })
})
