import { sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type AuditRecord, listAudit } from '../../src/catalog/audit/entries.ts'
import { AuditTrail } from '../../src/catalog/audit/trail.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, operator, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
beforeAll(async () => {
  catalog = await openCatalog()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

const quiet = { warn: () => undefined }
const event = (action: string, more: Partial<AuditRecord> = {}): AuditRecord => ({
  ...{ actor: operator, action, tenantId: null },
  ...more,
})
const written = async (action: string) => (await listAudit(catalog.store, { action }, { limit: 100 })).data

describe('events of the audit trail', () => {
  test('are written, and equal ones as one entry with a count', async () => {
    const trail = new AuditTrail({ store: catalog.store, vault: catalog.vault, log: quiet })
    for (let i = 0; i < 5; i += 1) trail.note(event('test.same'))
    trail.note(event('test.other', { after: { code: 'x' } }))
    await trail.flush()
    expect((await written('test.same')).map(({ after }) => after)).toEqual([{ count: 5 }])
    expect((await written('test.other')).map(({ after }) => after)).toEqual([{ code: 'x' }])
  })

  test('are written even if the catalog rejects one of them', async () => {
    const trail = new AuditTrail({ store: catalog.store, vault: catalog.vault, log: quiet })
    for (let i = 0; i < 40; i += 1) {
      trail.note(event('test.good', { after: { i } }))
      if (i === 20) trail.note(event('test.bad', { after: { text: 'no text has a \0' } }))
    }
    await trail.flush()
    await trail.flush()
    expect(await written('test.good')).toHaveLength(40)
    expect(await written('test.bad')).toEqual([])
    expect((await written('audit.dropped')).map(({ after }) => after)).toEqual([{ count: 1 }])
  })

  test('have the time of the catalog’s clock, however long they waited, and with any local clock', async () => {
    const clock = { now: () => 0, monotonic: () => monotonic }
    let monotonic = 1_000_000
    const trail = new AuditTrail({ ...catalog, log: quiet, gatherMs: 3_600_000, clock })
    trail.note(event('test.early'))
    monotonic += 90_000.5
    trail.note(event('test.late'))
    const { rows } = await catalog.store.db.execute<{ now: Date }>(sql`select now()`)
    await trail.flush()
    const [early, late] = [(await written('test.early'))[0]?.at, (await written('test.late'))[0]?.at]
    expect(Number(late) - Number(early)).toBeGreaterThanOrEqual(90_000)
    expect(Number(late) - Number(early)).toBeLessThan(90_002)
    expect(Number(late) - Number(new Date(rows[0]?.now ?? 0))).toBeGreaterThanOrEqual(0)
    expect(Number(late) - Number(new Date(rows[0]?.now ?? 0))).toBeLessThan(5_000)
  })

  test('fit into an index, whatever name the actor gives', async () => {
    const trail = new AuditTrail({ store: catalog.store, vault: catalog.vault, log: quiet })
    trail.note(event('test.long', { actor: { ...operator, id: 'x'.repeat(20_000) } }))
    await trail.flush()
    expect((await written('test.long')).map(({ actorId }) => actorId.length)).toEqual([512])
  })
})
