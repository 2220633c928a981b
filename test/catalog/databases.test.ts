import { and, eq, isNull, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { recordAudit } from '../../src/catalog/audit/entries.ts'
import { auditLog } from '../../src/catalog/audit/schema.ts'
import { catalogChanges } from '../../src/catalog/changes/schema.ts'
import { DATABASE_ERRORS, type DatabaseEntry } from '../../src/catalog/databases/entry.ts'
import { describeDatabase } from '../../src/catalog/databases/entry-view.ts'
import type { ValidationOutcome } from '../../src/catalog/databases/outcomes.ts'
import { placeInDedicated, placeInShared } from '../../src/catalog/databases/placements.ts'
import type { Validation } from '../../src/catalog/databases/validations.ts'
import { VALIDATION } from '../../src/catalog/jobs/kinds.ts'
import { queueJob } from '../../src/catalog/jobs/queue.ts'
import { jobs } from '../../src/catalog/jobs/schema.ts'
import { loadRoute } from '../../src/catalog/route-loader.ts'
import { tenantDatabases, tenants } from '../../src/catalog/schema.ts'
import { findTenant } from '../../src/catalog/tenants.ts'
import { newId } from '../../src/lib/ids.ts'
import { Secret } from '../../src/lib/secret.ts'
import { type RemoveDatabaseDeps, removeDatabase } from '../../src/operations/remove-database.ts'
import { dropAll } from '../support/database.ts'
import { sealOf } from '../support/seals.ts'
import { addressOf, health, openCatalog, operator, registration, type TestCatalog } from './catalog.ts'

const VALID = {
  ok: true,
  serverVersion: '18.4',
  schemaVersion: { core: '0001_x', application: null },
  systemIdentifier: '7300000000000000001',
  databaseOid: 16400,
  validatedAs: 'tenant-database',
} as const satisfies ValidationOutcome
const LEASE_MS = 60_000

let catalog: TestCatalog
let made = 0
beforeAll(async () => {
  catalog = await openCatalog()
  await catalog.vault.init()
})
afterAll(async () => {
  await catalog.close()
  await dropAll()
})

const newTenant = () => catalog.addTenant(`db-${made++}`)
const tenantOf = async (id: string) => {
  const tenant = await findTenant(catalog.store, id)
  if (tenant === null) throw new Error('no tenant')
  return tenant
}
const current = async (tenantId: string) => {
  const entry = await catalog.registry.current(tenantId)
  if (entry === null) throw new Error('no entry')
  return entry
}
/** Claims a health check of this entry only, even if others are due. */
async function claim(id: string): Promise<DatabaseEntry> {
  await catalog.store.db.update(tenantDatabases).set({ claimedBy: newId() }).where(eq(tenantDatabases.id, id))
  const [row] = await catalog.store.db.select().from(tenantDatabases).where(eq(tenantDatabases.id, id))
  if (row === undefined) throw new Error('no entry')
  return row
}
const unfinished = async (id: string) => {
  const [job] = await catalog.store.db
    .select()
    .from(jobs)
    .where(and(eq(jobs.subject, id), isNull(jobs.finishedAt)))
  return job
}
/** Claims a validation of this entry only, even if others are due. */
async function claimValidation(id: string): Promise<Validation> {
  const another = { kind: VALIDATION, subject: id }
  if ((await unfinished(id)) === undefined) await catalog.store.transaction((tx) => queueJob(tx, another))
  const leasedUntil = sql`now() + interval '1 minute'`
  const [job] = await catalog.store.db
    .update(jobs)
    .set({ status: 'running', attempts: sql`${jobs.attempts} + 1`, leasedUntil })
    .where(and(eq(jobs.subject, id), isNull(jobs.finishedAt)))
    .returning()
  const entry = job && (await catalog.registry.validationOf(job))
  if (!entry) throw new Error('no validation')
  return entry
}
const ask = (id: string) =>
  catalog.store.transaction((tx) => catalog.registry.requestValidation(tx, { id, adopt: false }, operator))
const finish = async (id: string, outcome: ValidationOutcome) =>
  catalog.registry.finishValidation(await claimValidation(id), outcome)
async function activeEntry() {
  const tenant = await newTenant()
  const entry = await catalog.register(tenant.id)
  await finish(entry.id, VALID)
  return current(tenant.id)
}
const changeCount = (tenantId: string) =>
  catalog.store.db.$count(catalogChanges, eq(catalogChanges.tenantId, tenantId))
const actionsOf = async (tenantId: string) =>
  (
    await catalog.store.db.select().from(auditLog).where(eq(auditLog.tenantId, tenantId)).orderBy(auditLog.id)
  ).map(({ action }) => action)

describe('a registration', () => {
  it('waits for its validation, with everything but its secret in clear', async () => {
    const { id: tenantId } = await newTenant()
    const entry = await catalog.register(tenantId)
    expect(entry).toMatchObject({
      ...{
        tenantId,
        slot: 'current',
        rowVersion: 1,
        status: 'pending_validation',
      },
      ...{
        host: 'db.example.com',
        port: 6543,
        databaseName: 'acme_db',
        userName: 'owner',
        sslMode: 'verify-full',
      },
    })
    expect(await current(tenantId)).toEqual(entry)
    expect(await unfinished(entry.id)).toMatchObject({ kind: 'validation', status: 'queued', tenantId })
    expect(await actionsOf(tenantId)).toEqual(['tenant.create', 'tenant.database.put'])
    expect(await changeCount(tenantId)).toBe(2)
  })

  it('does not show its secret in the entry, the view or the audit log, nor in clear in the row', async () => {
    const { id: tenantId } = await newTenant()
    const entry = await catalog.register(tenantId)
    const rows = await catalog.store.db.execute(sql`
      select (select json_agg(t) from tenant_databases t where tenant_id = ${tenantId})::text
          || (select json_agg(a) from audit_log a where tenant_id = ${tenantId})::text as text`)
    const view = describeDatabase(entry, {
      candidate: null,
      placement: 'shared',
      encryptionKeyId: null,
    })
    const all = JSON.stringify([entry, view, rows.rows])
    expect(all).toContain('db.example.com')
    for (const form of ['utf8', 'hex', 'base64'] as const) {
      expect(all).not.toContain(Buffer.from('s3cret-pw').toString(form))
    }
    expect(Object.keys(entry)).not.toContain('sealedConnectionString')
  })

  it('opens to the registered values; the password is a Secret', async () => {
    const entry = await catalog.register((await newTenant()).id, { sslMode: 'require' })
    const target = await catalog.registry.openTarget(entry)
    expect(target).toMatchObject({
      host: 'db.example.com',
      port: 6543,
      database: 'acme_db',
      user: 'owner',
      sslMode: 'require',
    })
    expect(target.password.reveal()).toBe('s3cret-pw')
    expect(JSON.stringify(target)).not.toContain('s3cret')
  })

  it('does not open in another row, for another tenant or at another version', async () => {
    const mine = await catalog.register((await newTenant()).id)
    const theirs = await catalog.register((await newTenant()).id)
    await catalog.store.db.execute(sql`
      update tenant_databases set sealed_connection_string =
        (select sealed_connection_string from tenant_databases where id = ${theirs.id}) where id = ${mine.id}`)
    await expect(catalog.registry.openTarget(mine)).rejects.toMatchObject({ code: 'UNKNOWN_KEY' })
    await expect(catalog.registry.openTarget({ ...theirs, tenantId: mine.tenantId })).rejects.toMatchObject({
      code: 'DATABASE_ENTRY_CHANGED',
    })
    const older = await catalog.register((await newTenant()).id)
    await catalog.store.db
      .update(tenantDatabases)
      .set({ rowVersion: 2 })
      .where(eq(tenantDatabases.id, older.id))
    await expect(catalog.registry.openTarget({ ...older, rowVersion: 2 })).rejects.toMatchObject({
      code: 'SEAL_BROKEN',
    })
  })

  it('replaces one that was never valid in its row, with a new version, and results for the old version are dropped', async () => {
    const { id: tenantId } = await newTenant()
    const first = await catalog.register(tenantId)
    const claimed = await claimValidation(first.id)
    const connectionString = new Secret('postgresql://u:other-pw@elsewhere.example.com/two')
    const second = await catalog.register(tenantId, { connectionString })
    expect(second).toMatchObject({
      id: first.id,
      rowVersion: 2,
      host: 'elsewhere.example.com',
      port: 5432,
      claimedBy: null,
    })
    expect(await catalog.registry.finishValidation(claimed, VALID)).toBeNull()
    expect((await current(tenantId)).status).toBe('pending_validation')
    await expect(catalog.registry.openTarget(first)).rejects.toMatchObject({ code: 'DATABASE_ENTRY_CHANGED' })
    expect((await catalog.registry.openTarget(second)).password.reveal()).toBe('other-pw')
  })

  it('becomes a candidate if the current one is or was active, and a later one replaces the candidate', async () => {
    const entry = await activeEntry()
    const candidate = await catalog.register(entry.tenantId)
    expect(candidate).toMatchObject({ slot: 'candidate', rowVersion: 1, status: 'pending_validation' })
    const later = await catalog.register(entry.tenantId)
    expect(later).toMatchObject({ id: candidate.id, slot: 'candidate', rowVersion: 2 })
    await finish(later.id, { ok: false, code: 'AUTHENTICATION_FAILED' })
    expect(await current(entry.tenantId)).toMatchObject({ id: entry.id, status: 'active' })
    expect(await catalog.registry.candidate(entry.tenantId)).toMatchObject({ status: 'failed' })
  })

  it('is made once for concurrent requests, and is TENANT_NOT_FOUND for an unknown tenant', async () => {
    const { id } = await newTenant()
    const entries = await Promise.all([catalog.register(id), catalog.register(id), catalog.register(id)])
    expect(entries.map(({ rowVersion }) => rowVersion).sort()).toEqual([1, 2, 3])
    await expect(catalog.register(newId())).rejects.toMatchObject({ code: 'TENANT_NOT_FOUND' })
  })

  it('is rolled back with its transaction, audit entry included', async () => {
    const { id } = await newTenant()
    const abandoned = catalog.store.transaction(async (tx) => {
      await catalog.registry.put(tx, { tenantId: id, registration: registration(), actor: operator })
      throw new Error('no')
    })
    await expect(abandoned).rejects.toThrow('no')
    expect(await catalog.registry.current(id)).toBeNull()
    expect(await actionsOf(id)).toEqual(['tenant.create'])
  })
})

describe('claims', () => {
  it('give each due validation to one replica only, and again once the lease is over', async () => {
    const mine = await openCatalog()
    for (let n = 0; n < 12; n++) await mine.register((await mine.addTenant(`claim-${n}`)).id)
    const claims = await Promise.all(Array.from({ length: 5 }, () => mine.claimValidations(3)))
    const ids = claims.flat().map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(Math.max(...claims.map((entries) => entries.length))).toBeLessThanOrEqual(3)
    const rest = await mine.claimValidations(100)
    expect(rest.length + ids.length).toBe(12)
    expect(await mine.claimValidations(100)).toEqual([])
    await mine.store.db.update(jobs).set({ leasedUntil: sql`now() - interval '1 second'` })
    const [again] = await mine.claimValidations(1)
    const old = claims.flat().find(({ id }) => id === again?.id)
    if (again && old) {
      expect(await mine.registry.finishValidation(old, VALID)).toBeNull()
      expect(await mine.registry.finishValidation(again, VALID)).toBe('active')
    }
    expect(JSON.stringify(claims)).not.toContain('sealed')
    await mine.close()
  })

  it('skip a row that another transaction changes, without waiting', async () => {
    const mine = await openCatalog()
    const [busy, free] = [await mine.addTenant('busy'), await mine.addTenant('free')]
    const entries = [await mine.register(busy.id), await mine.register(free.id)]
    await mine.store.transaction(async (tx) => {
      await tx.execute(sql`select 1 from jobs where tenant_id = ${busy.id} for update`)
      const claimed = await mine.claimValidations(10)
      expect(claimed.map(({ id }) => id)).toEqual([entries[1]?.id])
    })
    await mine.close()
  })

  it('give health checks of validated current entries that are due', async () => {
    const mine = await openCatalog()
    const pending = await mine.register((await mine.addTenant('pending')).id)
    const entry = await mine.register((await mine.addTenant('valid')).id)
    const claimed = await mine.claimValidations(10)
    const valid = claimed.find(({ id }) => id === entry.id)
    if (valid) await mine.registry.finishValidation(valid, VALID)
    expect(
      await mine.registry.claimDueHealthChecks({ minAgeMs: 60_000, before: null }, 10, LEASE_MS),
    ).toEqual([])
    await mine.store.db
      .update(tenantDatabases)
      .set({ lastCheckedAt: sql`now() - interval '61 seconds'`, claimedUntil: null })
    const due = await mine.registry.claimDueHealthChecks({ minAgeMs: 60_000, before: null }, 10, LEASE_MS)
    expect(due.map(({ id }) => id)).toEqual([entry.id])
    expect(
      await mine.registry.claimDueHealthChecks({ minAgeMs: 60_000, before: null }, 10, LEASE_MS),
    ).toEqual([])
    expect(await mine.registry.countByStatus()).toEqual({
      pending_validation: 1,
      active: 1,
      failed: 0,
      inactive: 0,
    })
    expect(pending.status).toBe('pending_validation')
    await mine.close()
  })
})

describe('after the clock of the catalog was set back', () => {
  const DAY = sql`interval '1 day'`

  it('work is due, although all stored times are in the future', async () => {
    const mine = await openCatalog()
    const [valid, asked] = await Promise.all(
      ['valid', 'asked'].map(async (code) => mine.register((await mine.addTenant(code)).id)),
    )
    const [claimed] = (await mine.claimValidations(10)).filter(({ id }) => id === valid?.id)
    if (claimed) await mine.registry.finishValidation(claimed, VALID)
    const waiting = await mine.register((await mine.addTenant('waiting')).id)
    const { lastCheckedAt, claimedUntil } = tenantDatabases
    await mine.store.db.update(tenantDatabases).set({
      lastCheckedAt: sql`${lastCheckedAt} + ${DAY}`,
      claimedUntil: sql`${claimedUntil} + ${DAY}`,
    })
    // One validation waits, and one was running.
    await mine.store.db.update(jobs).set({
      dueAt: sql`${jobs.dueAt} + ${DAY}`,
      leasedUntil: sql`${jobs.leasedUntil} + ${DAY}`,
    })
    const checks = await mine.registry.claimDueHealthChecks({ minAgeMs: 60_000, before: null }, 10, LEASE_MS)
    expect(checks.map(({ id }) => id)).toEqual([valid?.id])
    const validations = await mine.claimValidations(10)
    expect(validations.map(({ id }) => id).sort()).toEqual([asked?.id, waiting?.id].sort())
    await mine.close()
  })
})

describe('a validation', () => {
  it('that began before a repeated request has no effect, even in the same process', async () => {
    const mine = await openCatalog()
    const { id, tenantId } = await mine.register((await mine.addTenant('asked-again')).id)
    const [early] = await mine.claimValidations(1)
    await mine.store.transaction((tx) =>
      mine.registry.requestValidation(tx, { id: id, adopt: false }, operator),
    )
    const [late] = await mine.claimValidations(1)
    if (early === undefined || late === undefined) throw new Error('nothing was due')
    expect(await mine.registry.finishValidation(early, { ok: false, code: 'DNS_FAILED' })).toBeNull()
    expect(await mine.registry.finishValidation(late, VALID)).toBe('active')
    expect(await mine.registry.current(tenantId)).toMatchObject({ status: 'active' })
    await mine.close()
  })

  it('that fails has an error text of ours and is tried again later', async () => {
    const { id: tenantId } = await newTenant()
    const { id } = await catalog.register(tenantId)
    for (const minutes of [1, 2, 4]) {
      expect(await finish(id, { ok: false, code: 'DNS_FAILED' })).toBe('failed')
      const entry = await current(tenantId)
      expect(entry).toMatchObject({ status: 'failed', lastErrorCode: 'DNS_FAILED', claimedBy: null })
      expect(entry.lastErrorMessage).toBe('The host name could not be resolved')
      const next = await unfinished(id)
      expect(next).toMatchObject({ status: 'queued', attempts: 0 })
      const waitMs = (next?.dueAt.getTime() ?? 0) - Date.now()
      expect(waitMs).toBeGreaterThan(minutes * 60_000 * 0.74 - 5000)
      expect(waitMs).toBeLessThanOrEqual(minutes * 60_000 + 1000)
    }
    // One change of status writes one change row. Further failures change nothing.
    expect(await changeCount(tenantId)).toBe(3)
    expect(await ask(id)).toMatchObject({ status: 'pending_validation', validationAttempts: 0 })
    expect((await unfinished(id))?.dueAt.getTime()).toBeLessThan(Date.now() + 1000)
    const failed = await catalog.store.db.select().from(jobs).where(eq(jobs.status, 'failed'))
    const own = failed.filter(({ subject }) => subject === id)
    expect(own.map(({ errorCode, result }) => ({ errorCode, result }))).toEqual(
      [1, 2, 3].map(() => ({ errorCode: 'DNS_FAILED', result: null })),
    )
  })

  it('that succeeds makes the database active and clears the error', async () => {
    const { id: tenantId } = await newTenant()
    const { id } = await catalog.register(tenantId)
    await finish(id, { ok: false, code: 'DNS_FAILED' })
    expect(await finish(id, { ...VALID, validatedAs: 'move-required' })).toBe('active')
    const entry = await current(tenantId)
    expect(entry).toMatchObject({
      ...{ status: 'active', moveRequired: true, lastErrorCode: null },
      ...{
        serverVersion: '18.4',
        schemaVersion: { core: '0001_x', application: null },
        systemIdentifier: '7300000000000000001',
        databaseOid: 16400,
      },
    })
    expect(entry.validatedAt).toBeInstanceOf(Date)
    expect((await actionsOf(tenantId)).slice(2)).toEqual(['tenant.database.status', 'tenant.database.status'])
  })

  it('of another database in place of an active one is a change, because routes contain its identity', async () => {
    const { id, tenantId } = await activeEntry()
    const before = await changeCount(tenantId)
    expect(await finish(id, VALID)).toBe('active')
    expect(await changeCount(tenantId)).toBe(before)
    expect(await finish(id, { ...VALID, databaseOid: 16401 })).toBe('active')
    expect(await changeCount(tenantId)).toBe(before + 1)
    const route = await loadRoute(catalog.store, sealOf)({ id: tenantId })
    const { systemIdentifier } = VALID
    expect(route?.database).toMatchObject({ systemIdentifier, databaseOid: 16401 })
    const rows = await catalog.store.db.select().from(auditLog).where(eq(auditLog.tenantId, tenantId))
    const identity = { systemIdentifier, databaseOid: 16400 }
    expect(rows.toSorted((a, b) => a.seq - b.seq).at(-1)).toMatchObject({
      action: 'tenant.database.status',
      before: { status: 'active', identity },
      after: { status: 'active', identity: { ...identity, databaseOid: 16401 } },
    })
  })

  it('that is requested again leaves an active database in service, and makes it inactive if it fails', async () => {
    const { id, tenantId } = await activeEntry()
    await ask(id)
    expect(await current(tenantId)).toMatchObject({ status: 'active' })
    expect(await unfinished(id)).toMatchObject({ kind: 'validation', status: 'queued' })
    expect(await finish(id, { ok: false, code: 'BELONGS_TO_ANOTHER_TENANT' })).toBe('inactive')
    expect(await current(tenantId)).toMatchObject({ lastErrorCode: 'BELONGS_TO_ANOTHER_TENANT' })
    expect(await unfinished(id)).toBeUndefined()
  })

  it('of a missing or unclaimed entry does not count', async () => {
    const { id } = await catalog.register((await newTenant()).id)
    const entry = await claimValidation(id)
    const { job } = entry
    for (const other of [
      { ...job, attempts: 0 },
      { ...job, attempts: 2 },
      { ...job, id: newId() },
    ]) {
      expect(await catalog.registry.finishValidation({ ...entry, job: other }, VALID)).toBeNull()
    }
    expect(await ask(newId())).toBeNull()
    expect(await catalog.registry.finishValidation(entry, VALID)).toBe('active')
    expect(await catalog.registry.finishValidation(entry, VALID)).toBeNull()
  })
})

describe('health', () => {
  const check = async (id: string, result: Parameters<typeof catalog.registry.recordHealth>[1]) =>
    catalog.registry.recordHealth(await claim(id), result)

  it('check whose claim has lapsed has no effect, even if the same process claimed it again', async () => {
    const mine = await openCatalog()
    const { tenantId } = await mine.register((await mine.addTenant('checked-twice')).id)
    const [validation] = await mine.claimValidations(1)
    if (validation === undefined) throw new Error('nothing was due')
    await mine.registry.finishValidation(validation, VALID)
    const age = { minAgeMs: 0, before: null }
    const claimOne = async (leaseMs: number) => (await mine.registry.claimDueHealthChecks(age, 1, leaseMs))[0]
    const early = await claimOne(0)
    const late = await claimOne(60_000)
    if (early === undefined || late === undefined) throw new Error('nothing was due')
    expect(await mine.registry.recordHealth(early, { code: 'DNS_FAILED' })).toBeNull()
    expect(await mine.registry.recordHealth(late, {})).toBe('active')
    expect(await mine.registry.current(tenantId)).toMatchObject({ consecutiveFailures: 0 })
    await mine.close()
  })

  it('three failures in a row make a database inactive, with one change; two and a success do not', async () => {
    const { id, tenantId } = await activeEntry()
    const before = await changeCount(tenantId)
    const failure = { code: 'CONNECTION_REFUSED' } as const
    expect(await check(id, failure)).toBe('active')
    expect(await check(id, failure)).toBe('active')
    expect(await current(tenantId)).toMatchObject({
      consecutiveFailures: 2,
      lastErrorCode: 'CONNECTION_REFUSED',
    })
    expect(await check(id, {})).toBe('active')
    expect(await current(tenantId)).toMatchObject({
      consecutiveFailures: 0,
      lastErrorCode: null,
      claimedBy: null,
    })
    expect(await changeCount(tenantId)).toBe(before)
    for (const expected of ['active', 'active', 'inactive']) expect(await check(id, failure)).toBe(expected)
    expect(await changeCount(tenantId)).toBe(before + 1)
  })

  it('an inactive database that answers stays inactive until it is checked', async () => {
    const { id, tenantId } = await activeEntry()
    await finish(id, { ok: false, code: 'CONNECTION_TIMEOUT' })
    expect(await check(id, {})).toBe('inactive')
    expect(await current(tenantId)).toMatchObject({ lastErrorCode: 'CONNECTION_TIMEOUT', claimedBy: null })
    expect(await catalog.registry.reactivate(await claim(id), VALID.schemaVersion)).toBe('active')
    expect(await current(tenantId)).toMatchObject({
      status: 'active',
      consecutiveFailures: 0,
      lastErrorCode: null,
    })
  })

  it('a result counts only under the claim', async () => {
    const { id, tenantId } = await activeEntry()
    const old = await claim(id)
    await claim(id)
    expect(await catalog.registry.recordHealth(old, {})).toBeNull()
    expect(await catalog.registry.recordHealth(old, { code: 'UNKNOWN' })).toBeNull()
    expect((await current(tenantId)).consecutiveFailures).toBe(0)
  })
})

const { ok: _ok, validatedAs: _validatedAs, ...facts } = VALID

describe('a tenant database', () => {
  const homeOf = async (entry: DatabaseEntry, more: { epoch?: number; newEpoch?: number } = {}) => {
    const validation = await claimValidation(entry.id)
    const home = {
      tenantId: validation.tenantId,
      validation,
      epoch: 1,
      newEpoch: 2,
      facts,
      ...more,
    }
    return catalog.store.transaction((tx) => placeInDedicated(tx, home))
  }

  it('has the tenant from then on, at the new epoch', async () => {
    const tenant = await newTenant()
    const entry = await catalog.register(tenant.id)
    expect(await homeOf(entry)).toBe(true)
    expect(await tenantOf(tenant.id)).toMatchObject({ placement: 'dedicated', epoch: 2 })
    expect(await finish(entry.id, VALID)).toBe('active')
    expect((await actionsOf(tenant.id)).at(-1)).toBe('tenant.home')
  })

  it('that was a candidate replaces the one before', async () => {
    const { tenantId } = await activeEntry()
    const candidate = await catalog.register(tenantId)
    expect(await homeOf(candidate)).toBe(true)
    expect(await current(tenantId)).toMatchObject({ id: candidate.id, slot: 'current', status: 'active' })
    expect(await catalog.registry.candidate(tenantId)).toBeNull()
  })

  it('is not set at another epoch, version or claim, and then nothing is written', async () => {
    const tenant = await newTenant()
    const entry = await catalog.register(tenant.id)
    const before = await changeCount(tenant.id)
    expect(await homeOf(entry, { epoch: 7, newEpoch: 8 })).toBe(false)
    const validation = await claimValidation(entry.id)
    const { job } = validation
    const right = { tenantId: tenant.id, validation, epoch: 1, newEpoch: 2, facts }
    for (const wrong of [
      { validation: { ...validation, rowVersion: 2 } },
      { validation: { ...validation, job: { ...job, attempts: job.attempts - 1 } } },
      { validation: { ...validation, id: newId() } },
      { tenantId: newId() },
    ]) {
      expect(await catalog.store.transaction((tx) => placeInDedicated(tx, { ...right, ...wrong }))).toBe(
        false,
      )
    }
    expect(await tenantOf(tenant.id)).toEqual(tenant)
    expect(await changeCount(tenant.id)).toBe(before)
  })

  it('is set once by two concurrent requests', async () => {
    const tenant = await newTenant()
    const validation = await claimValidation((await catalog.register(tenant.id)).id)
    const home = { tenantId: tenant.id, validation, epoch: 1, newEpoch: 2, facts }
    const make = () => catalog.store.transaction((tx) => placeInDedicated(tx, home))
    expect((await Promise.all([make(), make(), make()])).sort()).toEqual([false, false, true])
  })

  it('is replaced by the shared database at the next epoch, and all entries are removed', async () => {
    const { id, tenantId } = await activeEntry()
    await catalog.store.db
      .update(tenants)
      .set({ placement: 'dedicated', epoch: 5 })
      .where(eq(tenants.id, tenantId))
    await catalog.register(tenantId)
    const leave = (epoch: number, entryId = id) =>
      catalog.store.transaction((tx) =>
        placeInShared(tx, { tenantId, entryId, epoch, newEpoch: 6, actor: operator }),
      )
    expect(await leave(4)).toBe(false)
    expect(await leave(5, newId())).toBe(false)
    expect(await current(tenantId)).toMatchObject({ id })
    expect(await leave(5)).toBe(true)
    expect(await tenantOf(tenantId)).toMatchObject({ placement: 'shared', epoch: 6 })
    expect(await catalog.registry.current(tenantId)).toBeNull()
    expect(await catalog.registry.candidate(tenantId)).toBeNull()
  })

  it('an entry that is not a tenant database can be removed, with an audit entry', async () => {
    const { id, tenantId } = await catalog.register((await newTenant()).id)
    const remove = () => catalog.store.transaction((tx) => catalog.registry.remove(tx, [id], health))
    expect([await remove(), await remove()]).toEqual([1, 0])
    expect((await actionsOf(tenantId)).at(-1)).toBe('tenant.database.delete')
  })

  it('entries are removed together while the work on one of them ends', async () => {
    const { tenantId } = await activeEntry()
    const { id } = await catalog.register(tenantId)
    const { store, registry } = catalog
    const unused = null as unknown as RemoveDatabaseDeps['addresses'] & RemoveDatabaseDeps['budget']
    const deps = {
      store,
      registry,
      addresses: unused,
      budget: unused,
      shared: addressOf('postgresql://u:p@h/d'),
      sealOf,
    }
    // A health check or a validation ends in this order: first the row, then its audit entry.
    const removal = await store.transaction(async (tx) => {
      await tx.execute(sql`select from tenant_databases where id = ${id} for update`)
      const removing = removeDatabase(deps, { tenantId, removal: { force: false }, actor: operator }).catch(
        (error: unknown) => error,
      )
      const waits = sql`select from pg_locks where not granted and pid <> pg_backend_pid()`
      await expect.poll(async () => (await store.db.execute(waits)).rowCount).not.toBe(0)
      await recordAudit(tx, { actor: health, action: 'tenant.database.status', tenantId })
      return { removing }
    })
    expect(await removal.removing).toBeUndefined()
    expect((await actionsOf(tenantId)).slice(-2)).toEqual([
      'tenant.database.delete',
      'tenant.database.delete',
    ])
  })
})

describe('views', () => {
  it('have exactly the documented fields', async () => {
    const entry = await activeEntry()
    const candidate = await catalog.register(entry.tenantId)
    await finish(candidate.id, { ok: false, code: 'TLS_FAILED' })
    const failed = await catalog.registry.candidate(entry.tenantId)
    const view = describeDatabase(entry, {
      candidate: failed,
      placement: 'dedicated',
      encryptionKeyId: 'abcd',
    })
    const fields = [
      ...[
        'tenantId',
        'databaseType',
        'host',
        'port',
        'database',
        'user',
        'sslMode',
        'poolSize',
        'idleTimeoutSeconds',
      ],
      ...[
        'connectionTimeoutSeconds',
        'status',
        'placement',
        'moveRequired',
        'lastError',
        'consecutiveFailures',
      ],
      ...['lastCheckedAt', 'validatedAt', 'schemaVersion', 'serverVersion', 'encryptionKeyId'],
    ]
    expect(Object.keys(view)).toEqual([...fields, 'candidate'])
    expect(Object.keys(view.candidate ?? {})).toEqual(fields)
    expect(view).toMatchObject({
      database: 'acme_db',
      user: 'owner',
      lastError: null,
      encryptionKeyId: 'abcd',
    })
    expect(view.candidate?.lastError).toEqual({
      ...{ code: 'TLS_FAILED', message: DATABASE_ERRORS.TLS_FAILED },
      at: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
    })
  })

  it('of many tenants are read in one query', async () => {
    const [one, two] = [await activeEntry(), await activeEntry()]
    const none = await newTenant()
    const found = await catalog.registry.currentOf([one.tenantId, two.tenantId, none.id])
    expect([...found.keys()].sort()).toEqual([one.tenantId, two.tenantId].sort())
    expect(await catalog.registry.currentOf([])).toEqual(new Map())
  })
})
