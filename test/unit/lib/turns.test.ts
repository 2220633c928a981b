import { describe, expect, it } from 'vitest'
import { Turns } from '../../../src/lib/turns.ts'

const turnsOf = (max: number, waitMs: number) => new Turns({ max, maxOfShare: max, waitMs })

describe('turns', () => {
  it('go to `max` callers at once, and then in the order of asking', async () => {
    const turns = turnsOf(2, 60_000)
    const [first, second] = [await turns.take('a'), await turns.take('a')]
    const called: string[] = []
    const come = async (name: string) => {
      const end = await turns.take('a')
      called.push(name)
      return end
    }
    const third = come('third')
    const fourth = come('fourth')
    expect(called).toEqual([])
    first()
    const endThird = await third
    expect(called).toEqual(['third'])
    second()
    endThird()
    await fourth
    expect(called).toEqual(['third', 'fourth'])
  })

  it('end once, however often the end is called', async () => {
    const turns = turnsOf(1, 1)
    const end = await turns.take('a')
    end()
    end()
    await turns.take('a')
    await expect(turns.take('a')).rejects.toMatchObject({ code: 'NO_CONNECTION_AVAILABLE' })
  })

  it('are not kept for callers that were refused', async () => {
    const turns = turnsOf(1, 1)
    const end = await turns.take('a')
    await expect(turns.take('a')).rejects.toMatchObject({ code: 'NO_CONNECTION_AVAILABLE' })
    end()
    expect(await turns.take('a')).toBeTypeOf('function')
  })

  it('are left for other shares, and callers of a full share hold up no other share', async () => {
    const turns = new Turns({ max: 3, maxOfShare: 2, waitMs: 60_000 })
    const [first] = [await turns.take('a'), await turns.take('a')]
    const waiting = turns.take('a')
    const ofOther = await turns.take('b')
    const second = turns.take('b')
    // The turn of `b` is free again. `a` is first in line but has its full share, so the turn goes to `b`.
    ofOther()
    await second
    first()
    await waiting
  })
})
