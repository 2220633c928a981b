import { describe, expect, it } from 'vitest'
import { createIdGenerator, isUuid, newId } from '../../../src/lib/ids.ts'

const timeOf = (id: string) => Number.parseInt(id.replaceAll('-', '').slice(0, 12), 16)

describe('ids', () => {
  it('are UUIDs of version 7 and the RFC variant, beginning with the time', () => {
    const before = Date.now()
    const id = newId()
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(timeOf(id)).toBeGreaterThanOrEqual(before)
    expect(timeOf(id)).toBeLessThanOrEqual(Date.now() + 1)
  })

  it('grow and never repeat, however many are created in one millisecond', () => {
    const next = createIdGenerator({ now: () => 1_700_000_000_000 })
    const ids = Array.from({ length: 20_000 }, next)
    expect(ids).toEqual([...ids].sort())
    expect(new Set(ids).size).toBe(ids.length)
  })

  it('still grow when the clock goes back', () => {
    let now = 1_700_000_000_000
    const next = createIdGenerator({ now: () => now })
    const first = next()
    now -= 60_000
    const second = next()
    expect(second > first).toBe(true)
    now += 120_000
    expect(timeOf(next())).toBe(1_700_000_060_000)
  })

  it('are recognised in either letter case and in no other form', () => {
    const id = newId()
    expect(isUuid(id) && isUuid(id.toUpperCase())).toBe(true)
    for (const wrong of ['', id.replaceAll('-', ''), `{${id}}`, `${id}0`, ` ${id}`, id.replace(/^./, 'g')]) {
      expect(isUuid(wrong)).toBe(false)
    }
  })
})
