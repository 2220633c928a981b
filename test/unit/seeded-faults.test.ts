import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SEEDED_FAULTS } from '../seeded-faults/faults.ts'
import { checkout } from '../support/gateway-process.ts'

describe('the faults that are seeded on request', () => {
  test('are twenty at least, each with a name of its own', () => {
    expect(SEEDED_FAULTS.length).toBeGreaterThanOrEqual(20)
    expect(new Set(SEEDED_FAULTS.map(({ name }) => name)).size).toBe(SEEDED_FAULTS.length)
  })

  test.each(SEEDED_FAULTS)('can be seeded: $name', ({ file, find, replace, tests }) => {
    expect(readFileSync(join(checkout, file), 'utf8').split(find)).toHaveLength(2)
    expect(replace).not.toBe(find)
    expect(tests.filter((path) => !existsSync(join(checkout, path)))).toEqual([])
  })
})
