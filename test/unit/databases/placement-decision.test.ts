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

/** The catalog's epoch is 5 in all cases. */
const decide = (found: Partial<PlacementFacts>) =>
  decidePlacement({ epoch: 5, candidate: NONE, current: NONE, shared: null, adopt: false, ...found })

/** The facts, the decision, and the decision after an operator has chosen the candidate. */
type Line = [facts: Partial<PlacementFacts>, decision: string, adopted?: string]

const SHARED: Record<string, Line> = {
  'an empty candidate, and the tenant in the shared database': [{ current: at(5) }, 'relocate'],
  'an empty candidate, and no tenant in the shared database': [{ current: NONE }, 'ambiguous', 'ambiguous'],
  'a newer stamp, and no tenant in the shared database': [{ candidate: at(7, ROWS) }, 'take-over'],
  'an older stamp, and no tenant in the shared database': [
    { candidate: at(4, ROWS) },
    'ambiguous',
    'take-over',
  ],
  'the same stamp, and no tenant in the shared database': [
    { candidate: at(5, ROWS) },
    'ambiguous',
    'take-over',
  ],
  'a newer stamp, and rows without a stamp in the shared database': [
    { candidate: at(7), current: { stamp: null, ownsRows: true } },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'a newer stamp, and people in the shared database': [
    { candidate: at(6, ROWS), current: at(5) },
    'ambiguous',
    'take-over',
  ],
  'a newer stamp, and rows in the shared database': [
    { candidate: at(6), current: at(5, ROWS) },
    'ambiguous',
    'ambiguous',
  ],
  'an older open stamp, and people in the shared database': [
    { candidate: at(4), current: at(5) },
    ...(['ambiguous', 'take-over'] as const),
  ],
  'a fenced stamp that a move left': [{ candidate: fenced(4), current: at(5) }, 'relocate'],
  'a fenced stamp that an uncommitted move left': [{ candidate: fenced(6), current: at(5) }, 'relocate'],
  'a fenced stamp with rows': [{ candidate: fenced(6, ROWS), current: at(5) }, 'ambiguous', 'take-over'],
}

const OWN: Record<string, Line> = {
  'the home': [{ current: 'same-database', candidate: at(5, ROWS), shared: NONE }, 'stay'],
  'the current database, with people left in the shared one': [
    { current: 'same-database', candidate: at(5), shared: at(4) },
    ...(['stay', 'stay'] as const),
  ],
  'the current database, with an uncommitted move to the shared one': [
    { current: 'same-database', candidate: at(5), shared: fenced(6) },
    'stay',
  ],
  'the current database, and the tenant in the shared one at a newer epoch': [
    { current: 'same-database', candidate: at(5), shared: at(6) },
    ...(['ambiguous', 'take-over'] as const),
  ],
  'the current database, and rows in the shared one at a newer epoch': [
    { current: 'same-database', candidate: at(5), shared: at(6, ROWS) },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'the current database at a newer epoch': [
    { current: 'same-database', candidate: at(7), shared: NONE },
    'take-over',
  ],
  'the current database at an older epoch': [
    { current: 'same-database', candidate: at(4), shared: NONE },
    ...(['ambiguous', 'take-over'] as const),
  ],
  'the current database without a stamp, and the tenant in the shared one at a newer epoch': [
    { current: 'same-database', candidate: NONE, shared: at(6, ROWS) },
    'return-to-shared',
  ],
  'the current database without a stamp, and an older stamp in the shared one': [
    { current: 'same-database', candidate: NONE, shared: at(4) },
    ...(['other-tenant', 'other-tenant'] as const),
  ],
  'the current database without a stamp, and a fenced one in the shared database': [
    { current: 'same-database', candidate: NONE, shared: fenced(7) },
    ...(['other-tenant', 'other-tenant'] as const),
  ],
  'an empty candidate, and the tenant in the current database': [
    { current: at(5), shared: NONE },
    'relocate',
  ],
  'an empty candidate, and the current database unreachable': [
    { current: 'unreachable', shared: NONE },
    'wait',
    'wait',
  ],
  'an empty candidate, no stamp in the current database, and the tenant in the shared one': [
    { current: NONE, shared: at(6, ROWS) },
    'return-to-shared',
  ],
  'an empty candidate, and the current database at another epoch': [
    { current: at(6), shared: NONE },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'a copy, and the current database unreachable': [
    { candidate: at(5, ROWS), current: 'unreachable', shared: NONE },
    ...(['take-over', 'take-over'] as const),
  ],
  'a copy whose take-over was not committed': [
    { candidate: fenced(6, ROWS), current: 'unreachable', shared: NONE },
    'take-over',
  ],
  'a copy, and the current database with rows': [
    { candidate: at(5, ROWS), current: at(5, ROWS), shared: NONE },
    'copy',
    'copy',
  ],
  'a copy, and the current database with people only': [
    { candidate: at(5, ROWS), current: at(5), shared: NONE },
    ...(['copy', 'take-over'] as const),
  ],
  'a copy, and no stamp in the current database': [
    { candidate: at(5, ROWS), current: NONE, shared: NONE },
    'take-over',
  ],
  'a newer stamp, and no stamp in the current database': [
    { candidate: at(6, ROWS), current: NONE, shared: NONE },
    'take-over',
  ],
  'a newer stamp, and the current database unreachable': [
    { candidate: at(6, ROWS), current: 'unreachable', shared: NONE },
    ...(['ambiguous', 'take-over'] as const),
  ],
  'an older stamp, and the current database unreachable': [
    { candidate: at(4, ROWS), current: 'unreachable', shared: NONE },
    ...(['ambiguous', 'take-over'] as const),
  ],
  'a newer stamp, and people in the current database': [
    { candidate: at(6, ROWS), current: at(5), shared: NONE },
    ...(['ambiguous', 'take-over'] as const),
  ],
  'a newer stamp, and rows in the current database': [
    { candidate: at(6, ROWS), current: at(5, ROWS), shared: NONE },
    ...(['ambiguous', 'ambiguous'] as const),
  ],
  'a newer stamp, no stamp in the current database, and a newer one in the shared database too': [
    { candidate: at(6, ROWS), current: NONE, shared: at(7) },
    ...(['ambiguous', 'take-over'] as const),
  ],
}

describe.each([
  ['a tenant of the shared database:', SHARED],
  ['a tenant with a dedicated database:', OWN],
])('%s', (_, lines) => {
  test.each(Object.entries(lines))('%s', (_name, [found, decision, adopted = decision]) => {
    expect(decide(found)).toBe(decision)
    expect(decide({ ...found, adopt: true })).toBe(adopted)
  })
})

const presence = fc.record({
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
  candidate: presence,
  current: fc.oneof(presence, fc.constantFrom('same-database' as const, 'unreachable' as const)),
  shared: fc.option(presence),
  adopt: fc.boolean(),
})

const always = (check: (found: PlacementFacts) => void) =>
  fc.assert(fc.property(cases, check), { numRuns: 5_000 })

describe('for all facts', () => {
  test('no database takes over while another one has rows of the tenant', () => {
    always((found) => {
      if (decidePlacement(found) !== 'take-over') return
      const { current, shared } = found
      expect(shared?.ownsRows ?? false).toBe(false)
      expect(typeof current === 'object' && current.ownsRows).toBe(false)
    })
  })

  test('a database without a stamp never takes over', () => {
    always((found) => {
      expect(decidePlacement({ ...found, candidate: { ...found.candidate, stamp: null } })).not.toBe(
        'take-over',
      )
    })
  })

  test('the choice of an operator changes only what was ambiguous, or a copy', () => {
    always((found) => {
      const [without, decided] = [false, true].map((adopt) => decidePlacement({ ...found, adopt }))
      if (without === decided) return
      expect([without, decided]).toEqual([expect.stringMatching(/^(ambiguous|copy)$/), 'take-over'])
    })
  })

  test('a tenant never moves to an open stamp, nor from a database at another epoch than that of the catalog', () => {
    always((found) => {
      if (decidePlacement(found) !== 'relocate') return
      expect(found.candidate.stamp?.state).not.toBe('open')
      expect(found.current).toMatchObject({ stamp: { epoch: found.epoch } })
    })
  })
})
