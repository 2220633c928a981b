import { describe, expect, test } from 'vitest'
import { CatalogSealedWithOtherKeyError } from '../../src/catalog/vault.ts'
import { SchemaOutdatedError } from '../../src/gateway/start/prepare-catalog.ts'
import { refusalIn, StartRefusedError } from '../../src/gateway/start/start-refusals.ts'
import { parseMigration } from '../../src/migrations/files.ts'

function thrownBy(fn: () => unknown): unknown {
  try {
    return fn()
  } catch (error) {
    return error
  }
}

describe('a start', () => {
  test.each([
    ['ROLE_BYPASSES_RLS', new StartRefusedError('ROLE_BYPASSES_RLS', 'its role is superuser')],
    ['WRONG_ENCRYPTION_KEY', new CatalogSealedWithOtherKeyError([{ keyId: 'k1', count: 1 }])],
    ['MIGRATION_MALFORMED', thrownBy(() => parseMigration('catalog', '0001_a.sql', '-- only words'))],
  ])('is aborted at once with the code of %s', (code, error) => {
    expect(refusalIn(error)).toBeInstanceOf(StartRefusedError)
    expect(refusalIn(error)).toMatchObject({ code, message: expect.stringMatching(/\w/) })
  })

  test.each([
    ['a database that cannot be reached', Object.assign(new Error('connect'), { code: 'ECONNREFUSED' })],
    ['a schema that another process brings up to date', new SchemaOutdatedError('1 migration')],
  ])('is repeated after %s', (_what, error) => {
    expect(refusalIn(error)).toBeNull()
  })
})
