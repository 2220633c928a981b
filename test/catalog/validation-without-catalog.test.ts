import { DrizzleQueryError } from 'drizzle-orm'
import pg from 'pg'
import { afterAll, expect, it } from 'vitest'
import { validateDatabase } from '../../src/databases/validate-database.ts'
import { dropAll } from '../support/database.ts'
import { validationOf } from './validation.ts'

afterAll(dropAll)

it.each([
  ['is read-only after a failover', '25006'],
  ['ends a deadlock', '40P01'],
])('a catalog that %s is not reported as a fault of the validated database', async (_how, code) => {
  const said = Object.assign(new pg.DatabaseError('no', 2, 'error'), { code, severity: 'ERROR' })
  const refused = new DrizzleQueryError('select', [], said)
  const written: unknown[] = []
  const select = () => ({ from: () => ({ where: () => Promise.reject(refused) }) })
  const parts = {
    store: { db: { select, selectDistinct: select } },
    registry: { finishValidation: async (_claim: unknown, outcome: unknown) => written.push(outcome) },
  }
  const { deps, entry } = await validationOf(parts, (outcome) => written.push(outcome))
  await expect(validateDatabase(deps, entry)).rejects.toMatchObject({ code: 'CATALOG_UNAVAILABLE' })
  expect(written).toEqual([])
})
