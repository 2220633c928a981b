import { describe, expect, test } from 'vitest'
import { compareJournal, driftOf } from '../../../src/migrations/drift.ts'
import { parseMigration } from '../../../src/migrations/files.ts'

const ours = ['0000_a', '0001_b', '0002_c'].map((id) =>
  parseMigration('catalog', `${id}.sql`, `SELECT '${id}'`),
)
const journal = (...ids: string[]) =>
  ids.map((id) => ({ id, hash: ours.find((migration) => migration.id === id)?.hash ?? 'theirs' }))

describe('a database compared with our migrations', () => {
  test('has no version if no migration was applied', () => {
    expect(compareJournal(ours, [])).toEqual({
      version: null,
      pending: ['0000_a', '0001_b', '0002_c'],
      edited: [],
      ahead: [],
    })
  })

  test('is behind without drift if only the first ones were applied', () => {
    const state = compareJournal(ours, journal('0000_a'))
    expect(state).toMatchObject({ version: '0000_a', pending: ['0001_b', '0002_c'] })
    expect(driftOf('catalog', state)).toBeNull()
  })

  test('is up to date if all were applied, in any order of the journal', () => {
    const state = compareJournal(ours, journal('0002_c', '0000_a', '0001_b'))
    expect(state).toEqual({ version: '0002_c', pending: [], edited: [], ahead: [] })
  })

  test('is ahead without drift if a newer release added some after ours', () => {
    const state = compareJournal(ours, journal('0000_a', '0001_b', '0002_c', '0003_d'))
    expect(state).toEqual({ version: '0003_d', pending: [], edited: [], ahead: ['0003_d'] })
    expect(driftOf('catalog', state)).toBeNull()
  })

  test('has drifted if an applied file was changed', () => {
    const state = compareJournal(ours, [{ id: '0000_a', hash: 'other' }])
    expect(state.edited).toEqual(['0000_a'])
    expect(driftOf('catalog', state)?.migrationId).toBe('0000_a')
  })

  test('has drifted if an unknown migration is between ours', () => {
    const state = compareJournal(ours, journal('0000_a', '0000_x', '0001_b', '0002_c'))
    expect(state.edited).toEqual(['0000_x'])
    expect(driftOf('catalog', state)?.migrationId).toBe('0000_x')
  })

  test.each([
    ['ours', ['0000_a', '0002_c']],
    ["a newer release's", ['0000_a', '0003_d']],
  ])('has drifted if one was skipped before one of %s', (_whose, ids) => {
    expect(driftOf('catalog', compareJournal(ours, journal(...ids)))?.migrationId).toBe('0001_b')
  })
})
