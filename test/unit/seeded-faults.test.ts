import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SEEDED_FAULTS } from '../seeded-faults/faults.ts'
import { checkout } from '../support/checkout.ts'

describe('the list of seeded faults', () => {
  test('has at least twenty, each with a unique name', () => {
    expect(SEEDED_FAULTS.length).toBeGreaterThanOrEqual(20)
    expect(new Set(SEEDED_FAULTS.map(({ name }) => name)).size).toBe(SEEDED_FAULTS.length)
  })

  test.each(SEEDED_FAULTS)('can be applied: $name', ({ file, find, replace, tests }) => {
    expect(readFileSync(join(checkout, file), 'utf8').split(find)).toHaveLength(2)
    expect(replace).not.toBe(find)
    expect(tests.filter((path) => !existsSync(join(checkout, path)))).toEqual([])
  })
})
