import { describe, expect, it } from 'vitest'
import { Turns } from '../../../src/lib/turns.ts'

describe('turns', () => {
  it('go to so many at once, and then in the order of asking', async () => {
    const turns = new Turns(2, 60_000)
    const [first, second] = [await turns.take(), await turns.take()]
    const called: string[] = []
    const come = async (name: string) => {
      const end = await turns.take()
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

  it('end once, however often it is said', async () => {
    const turns = new Turns(1, 1)
    const end = await turns.take()
    end()
    end()
    await turns.take()
    await expect(turns.take()).rejects.toMatchObject({ code: 'NO_CONNECTION_AVAILABLE' })
  })

  it('are not kept for those who were turned away', async () => {
    const turns = new Turns(1, 1)
    const end = await turns.take()
    await expect(turns.take()).rejects.toMatchObject({ code: 'NO_CONNECTION_AVAILABLE' })
    end()
    expect(await turns.take()).toBeTypeOf('function')
  })
})
