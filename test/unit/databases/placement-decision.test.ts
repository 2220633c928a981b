import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  decidePlacement,
  type PlacementFacts,
  type TenantPresence,
} from '../../../src/databases/placement-decision.ts'

const NONE: TenantPresence = { stamp: null, ownsRows: false }
const at = (epoch: number, ownsRows = false, state: 'open' | 'fenced' = 'open'): TenantPresence => ({
  stamp: { epoch, state },
  ownsRows,
})
const ROWS = true
const fenced = (epoch: number, ownsRows = false) => at(epoch, ownsRows, 'fenced')

/** The catalog's epoch is 5 in all of them. */
const decide = (found: Partial<PlacementFacts>) =>
  decidePlacement({ epoch: 5, database: NONE, home: NONE, shared: null, adopt: false, ...found })

/** What is said of a case, and what once an operator has decided for the database. */
type Line = [found: Partial<PlacementFacts>, decision: string, adopted?: string]

const SHARED: Record<string, Line> = {
  'an empty database, and the tenant at home': [{ home: at(5) }, 'relocate'],
  'an empty database, and nobody at home': [{ home: NONE }, 'ambiguous', 'ambiguous'],
  'a newer stamp, and nobody at home': [{ database: at(7, ROWS) }, 'take'],
  'an older stamp, and nobody at home': [{ database: at(4, ROWS) }, 'ambiguous', 'take'],
  'the same stamp, and nobody at home': [{ database: at(5, ROWS) }, 'ambiguous', 'take'],
  'a newer stamp, and rows without a stamp at home': [
    { database: at(7), home: { stamp: null, ownsRows: true } },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'a newer stamp, and people at home': [{ database: at(6, ROWS), home: at(5) }, 'ambiguous', 'take'],
  'a newer stamp, and rows at home': [{ database: at(6), home: at(5, ROWS) }, 'ambiguous', 'ambiguous'],
  'an older stamp with the door open, and people at home': [
    { database: at(4), home: at(5) },
    ...(['ambiguous', 'take'] as const),
  ],
  'what a move left behind': [{ database: fenced(4), home: at(5) }, 'relocate'],
  'what a move that was not committed left behind': [{ database: fenced(6), home: at(5) }, 'relocate'],
  'a fenced stamp with rows': [{ database: fenced(6, ROWS), home: at(5) }, 'ambiguous', 'take'],
}

const OWN: Record<string, Line> = {
  'the home': [{ home: 'itself', database: at(5, ROWS), shared: NONE }, 'stay'],
  'the home, with people left in the shared one': [
    { home: 'itself', database: at(5), shared: at(4) },
    ...(['stay', 'stay'] as const),
  ],
  'the home, with a move to the shared one that was not committed': [
    { home: 'itself', database: at(5), shared: fenced(6) },
    'stay',
  ],
  'the home, and the tenant in the shared one since': [
    { home: 'itself', database: at(5), shared: at(6) },
    ...(['ambiguous', 'take'] as const),
  ],
  'the home, and rows in the shared one since': [
    { home: 'itself', database: at(5), shared: at(6, ROWS) },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'the home at a newer epoch': [{ home: 'itself', database: at(7), shared: NONE }, 'take'],
  'the home at an older epoch': [
    { home: 'itself', database: at(4), shared: NONE },
    ...(['ambiguous', 'take'] as const),
  ],
  'nobody at home, and the tenant in the shared one since': [
    { home: 'itself', database: NONE, shared: at(6, ROWS) },
    'return',
  ],
  'nobody at home, nor in the shared one since': [
    { home: 'itself', database: NONE, shared: at(4) },
    ...(['stranger', 'stranger'] as const),
  ],
  'nobody at home, and the tenant gone from the shared one since': [
    { home: 'itself', database: NONE, shared: fenced(7) },
    ...(['stranger', 'stranger'] as const),
  ],
  'an empty one, and the tenant at home': [{ home: at(5), shared: NONE }, 'relocate'],
  'an empty one, and the home out of reach': [{ home: 'unreachable', shared: NONE }, 'wait', 'wait'],
  'an empty one, nobody at home, and the tenant in the shared one since': [
    { home: NONE, shared: at(6, ROWS) },
    'return',
  ],
  'an empty one, and the home at another epoch': [
    { home: at(6), shared: NONE },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'a copy, and the home out of reach': [
    { database: at(5, ROWS), home: 'unreachable', shared: NONE },
    ...(['take', 'take'] as const),
  ],
  'a copy that was about to take over': [
    { database: fenced(6, ROWS), home: 'unreachable', shared: NONE },
    'take',
  ],
  'a copy beside the home': [{ database: at(5, ROWS), home: at(5, ROWS), shared: NONE }, 'copy', 'copy'],
  'a copy beside a home that has only people': [
    { database: at(5, ROWS), home: at(5), shared: NONE },
    ...(['copy', 'take'] as const),
  ],
  'a copy, and nobody at home': [{ database: at(5, ROWS), home: NONE, shared: NONE }, 'take'],
  'a newer stamp, and nobody at home': [{ database: at(6, ROWS), home: NONE, shared: NONE }, 'take'],
  'a newer stamp, and the home out of reach': [
    { database: at(6, ROWS), home: 'unreachable', shared: NONE },
    ...(['ambiguous', 'take'] as const),
  ],
  'an older stamp, and the home out of reach': [
    { database: at(4, ROWS), home: 'unreachable', shared: NONE },
    ...(['ambiguous', 'take'] as const),
  ],
  'a newer stamp, and people at home': [
    { database: at(6, ROWS), home: at(5), shared: NONE },
    ...(['ambiguous', 'take'] as const),
  ],
  'a newer stamp, and rows at home': [
    { database: at(6, ROWS), home: at(5, ROWS), shared: NONE },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'a newer stamp, nobody at home, and a newer one in the shared one as well': [
    { database: at(6, ROWS), home: NONE, shared: at(7) },
    ...(['ambiguous', 'take'] as const),
  ],
}

describe.each([
  ['a tenant of the shared database:', SHARED],
  ['a tenant of a database of its own:', OWN],
])('%s', (_, lines) => {
  test.each(Object.entries(lines))('%s', (_name, [found, decision, adopted = decision]) => {
    expect(decide(found)).toBe(decision)
    expect(decide({ ...found, adopt: true })).toBe(adopted)
  })
})

const standing = fc.record({
  stamp: fc.option(
    fc.record({
      epoch: fc.integer({ min: 0, max: 5 }),
      state: fc.constantFrom('open' as const, 'fenced' as const),
    }),
  ),
  ownsRows: fc.boolean(),
})
const cases: fc.Arbitrary<PlacementFacts> = fc.record({
  epoch: fc.integer({ min: 1, max: 4 }),
  database: standing,
  home: fc.oneof(standing, fc.constantFrom('itself' as const, 'unreachable' as const)),
  shared: fc.option(standing),
  adopt: fc.boolean(),
})

const always = (check: (found: PlacementFacts) => void) =>
  fc.assert(fc.property(cases, check), { numRuns: 5_000 })

describe('whatever was found', () => {
  test('nothing is taken over rows that are elsewhere', () => {
    always((found) => {
      if (decidePlacement(found) !== 'take') return
      const { home, shared } = found
      expect(shared?.ownsRows ?? false).toBe(false)
      expect(typeof home === 'object' && home.ownsRows).toBe(false)
    })
  })

  test('a database without a stamp is never taken', () => {
    always((found) => {
      expect(decidePlacement({ ...found, database: { ...found.database, stamp: null } })).not.toBe('take')
    })
  })

  test('an operator decides nothing but what was ambiguous, or a copy', () => {
    always((found) => {
      const [without, decided] = [false, true].map((adopt) => decidePlacement({ ...found, adopt }))
      if (without === decided) return
      expect([without, decided]).toEqual([expect.stringMatching(/^(ambiguous|copy)$/), 'take'])
    })
  })

  test('nobody moves into an open door, nor away from a home that is not at the epoch of the catalog', () => {
    always((found) => {
      if (decidePlacement(found) !== 'relocate') return
      expect(found.database.stamp?.state).not.toBe('open')
      expect(found.home).toMatchObject({ stamp: { epoch: found.epoch } })
    })
  })
})
