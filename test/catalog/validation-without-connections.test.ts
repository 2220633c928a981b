import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Job } from '../../src/catalog/jobs/queue.ts'
import { lockResidence } from '../../src/databases/relocate.ts'
import type { ValidationDeps } from '../../src/databases/validate-database.ts'
import { validationHandler } from '../../src/databases/validation-job.ts'
import { ConnectionBudget } from '../../src/pools/budget.ts'
import { property } from '../support/application.ts'
import { dropAll } from '../support/database.ts'
import { sealOf } from '../support/seals.ts'
import { addressOf, withClient } from '../support/tenant-database.ts'
import { openCatalog, type TestCatalog } from './catalog.ts'
import { validationOf } from './validation.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
})
afterAll(async () => {
  await catalog?.close()
  await dropAll()
})

it('a gateway without a free connection reports nothing about the database, and leaves the validation to others', async () => {
  const { store, registry } = catalog
  const tenant = await catalog.addTenant('waiting')
  await catalog.register(tenant.id)
  const outcomes: string[] = []
  const address = addressOf('postgresql://u:p@127.0.0.1:1/none')
  const deps: ValidationDeps = {
    ...{ store, registry, sealOf, shared: address, migrations: () => [], tables: property, forbidden: [] },
    announcements: { lowestOfTenant: () => new Map(), publish: async () => null },
    addresses: {
      addressOf: () => address,
      validatedAddressOf: () => address,
    } as unknown as ValidationDeps['addresses'],
    budget: new ConnectionBudget({ max: 0, maxPerServer: 0, victims: () => [] }),
    // The time for the checks is over before there is a connection.
    timeoutMs: 1,
    log: { info: () => undefined, warn: () => undefined },
    onOutcome: (outcome) => outcomes.push(outcome),
    wake: () => undefined,
  }
  const [claimed] = await catalog.claimValidations(1)
  if (claimed === undefined) throw new Error('nothing was due')
  const running = { job: claimed.job, signal: new AbortController().signal, note: async () => undefined }
  const outcome = await validationHandler({ ...deps, onOutcome: (_entry, code) => outcomes.push(code) }).run(
    running,
  )
  expect(outcome).toMatchObject({ retryInMs: 0, error: { code: 'NO_CONNECTION_AVAILABLE' } })
  expect(outcomes).toEqual([])
  expect(await registry.current(tenant.id)).toMatchObject({
    ...{ status: 'pending_validation', lastErrorCode: null },
  })
})

it('a database in which another validation runs is validated as soon as that one ends, before the claim lapses', async () => {
  const written: string[] = []
  const registry = {
    finishValidation: async () => written.push('finished'),
    validationOf: async () => entry,
  }
  const parts = { store: catalog.store, registry }
  const { url, deps, entry } = await validationOf(parts, (outcome) => written.push(outcome))
  const handler = validationHandler({ ...deps, onOutcome: (_entry, outcome) => written.push(outcome) })
  const running = { job: {} as Job, signal: new AbortController().signal, note: async () => undefined }
  await withClient(url, async (other) => {
    await lockResidence(other)
    expect(await handler.run(running)).toMatchObject({ retryInMs: 0, error: { code: 'MOVE_IN_PROGRESS' } })
  })
  expect(written).toEqual([])
})
