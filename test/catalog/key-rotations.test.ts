import { asc, eq, isNull, sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { auditLog } from '../../src/catalog/audit/schema.ts'
import { catalogChanges, replicas } from '../../src/catalog/changes/schema.ts'
import { dataKeys } from '../../src/catalog/encryption-schema.ts'
import { KEY_ROTATION } from '../../src/catalog/jobs/kinds.ts'
import { claimJobs } from '../../src/catalog/jobs/queue.ts'
import {
  type BrokenKey,
  latestRotation,
  primaryKey,
  type RotationRef,
  startRotation,
  storeRewrapped,
} from '../../src/catalog/key-rotations.ts'
import { Vault } from '../../src/catalog/vault.ts'
import { generateMasterKey, type MasterKey, parseMasterKey } from '../../src/crypto/key-source.ts'
import { Keyring } from '../../src/crypto/keyring.ts'
import { newId } from '../../src/lib/ids.ts'
import { sweepKeys } from '../../src/operations/rotate-keys.ts'
import { dropAll } from '../support/database.ts'
import { openCatalog, operator, type TestCatalog } from './catalog.ts'

let catalog: TestCatalog
let next: MasterKey
/** The keyring of a process that has the new key and the previous one. */
let both: Keyring

beforeEach(async () => {
  catalog = await openCatalog()
  next = parseMasterKey(generateMasterKey())
  both = new Keyring(next, [catalog.masterKey])
  await catalog.vault.init()
})
afterEach(() => catalog.close())
afterAll(dropAll)

const start = (keyId = next.id) => startRotation(catalog.store, { keyId, actor: operator })
/** The rotations that a replica with this primary key may run. */
const claimed = async (keyId: string) => {
  const request = { kind: KEY_ROTATION, knows: [primaryKey(keyId)], replicaId: newId() }
  const found = await claimJobs(catalog.store.db, { ...request, limit: 9, leaseMs: 60_000 })
  return found.map(({ subject }) => subject)
}
const rows = () => catalog.store.db.select().from(dataKeys).orderBy(asc(dataKeys.id))

async function running(keyId = next.id): Promise<RotationRef> {
  expect(await start(keyId)).toEqual([])
  const rotation = await latestRotation(catalog.store)
  if (rotation?.status !== 'running' || rotation.keyId !== keyId) throw new Error('no rotation is running')
  return rotation
}

/** Creates tenants with a data key each, and returns the fingerprints of these keys. */
async function furnish(count: number): Promise<Map<string, string>> {
  const ids = new Map<string, string>()
  for (let n = 0; n < count; n += 1) {
    const { id } = await catalog.addTenant(`tenant-${n}`)
    ids.set(id, (await catalog.vault.dataKey(id)).id)
  }
  return ids
}

/** One round. If `stop` is given, the round is told to stop after its first work. */
async function sweep(rotation: RotationRef, keyring = both, stop?: AbortController) {
  const told: { rewrapped: number; broken: BrokenKey[] } = { rewrapped: 0, broken: [] }
  const over = await sweepKeys(
    {
      ...{ store: catalog.store, keyring, log: { info: () => undefined, error: () => undefined } },
      onRewrapped: (count) => {
        told.rewrapped += count
        stop?.abort()
      },
      onBroken: (row) => told.broken.push(row),
    },
    rotation,
    (stop ?? new AbortController()).signal,
  )
  return { over, ...told }
}

async function actions(): Promise<string[]> {
  const found = await catalog.store.db
    .select({ action: auditLog.action })
    .from(auditLog)
    .where(sql`${auditLog.action} like 'encryption.%'`)
    .orderBy(asc(auditLog.seq))
  return found.map(({ action }) => action)
}

describe('a rotation', () => {
  it('rewraps every data key once, however many replicas work on it, and changes none', async () => {
    const before = await furnish(45)
    const rotation = await running()
    expect(await latestRotation(catalog.store)).toMatchObject({ status: 'running', total: 46, remaining: 46 })
    const rounds = await Promise.all([sweep(rotation), sweep(rotation), sweep(rotation)])
    expect(rounds.reduce((sum, { rewrapped }) => sum + rewrapped, 0)).toBe(46)
    if (rounds.every(({ over }) => !over))
      expect(await sweep(rotation)).toMatchObject({ over: true, rewrapped: 0 })
    for (const row of await rows()) expect(row).toMatchObject({ masterKeyId: next.id, rowVersion: 2 })
    const alone = new Vault(catalog.store, new Keyring(next), { max: 10 })
    await alone.init()
    expect(alone.service.id).toBe(catalog.vault.service.id)
    for (const [tenantId, id] of before) expect((await alone.dataKey(tenantId)).id).toBe(id)
    const { finishedAt, ...ended } = (await latestRotation(catalog.store)) ?? {}
    expect(ended).toMatchObject({ id: rotation.id, keyId: next.id, status: 'done', total: 46, remaining: 0 })
    expect(finishedAt).toBeInstanceOf(Date)
    expect(await actions()).toEqual(['encryption.rotate', 'encryption.rotated'])
    const changes = await catalog.store.db
      .select()
      .from(catalogChanges)
      .where(eq(catalogChanges.kind, 'encryption'))
    expect(changes.map(({ subjectId }) => subjectId)).toEqual([rotation.id, rotation.id])
  })

  it("begins with the service's own data key, and stops after a batch on request", async () => {
    await furnish(2)
    // It is created last, so in the order of ids it would be last.
    await catalog.store.db.delete(dataKeys).where(isNull(dataKeys.tenantId))
    await new Vault(catalog.store, catalog.keyring, { max: 1 }).init()
    const stop = new AbortController()
    expect(await sweep(await running(), both, stop)).toEqual({ over: false, rewrapped: 1, broken: [] })
    const moved = (await rows()).filter(({ masterKeyId }) => masterKeyId === next.id)
    expect(moved.map(({ tenantId }) => tenantId)).toEqual([null])
  })

  it('skips rows that others lock, and ends only after they are rewrapped too', async () => {
    await furnish(3)
    const rotation = await running()
    const client = await catalog.connect()
    onTestFinished(() => client.end().catch(() => undefined))
    await client.query('begin')
    await client.query('select from data_keys where tenant_id is null for update')
    expect(await sweep(rotation)).toEqual({ over: false, rewrapped: 3, broken: [] })
    expect(await latestRotation(catalog.store)).toMatchObject({ status: 'running', remaining: 1 })
    await client.query('rollback')
    expect(await sweep(rotation)).toEqual({ over: true, rewrapped: 1, broken: [] })
  })

  it('fails if a key does not open, with all others done; the next one rewraps the repaired key', async () => {
    const [[first = '', id] = [], [second = ''] = []] = [...(await furnish(2))]
    const of = (tenantId: string) => eq(dataKeys.tenantId, tenantId)
    const [good] = await catalog.store.db.select().from(dataKeys).where(of(first))
    const [other] = await catalog.store.db.select().from(dataKeys).where(of(second))
    if (good === undefined || other === undefined) throw new Error('no data keys')
    const put = (sealedKey: Buffer) => catalog.store.db.update(dataKeys).set({ sealedKey }).where(of(first))
    await put(other.sealedKey)
    const broken = [{ rowId: good.id, tenantId: first }]
    expect(await sweep(await running())).toEqual({ over: true, rewrapped: 2, broken })
    expect(await latestRotation(catalog.store)).toMatchObject({ status: 'failed', total: 3, remaining: 1 })
    expect(await actions()).toEqual(['encryption.rotate', 'encryption.rotation-failed'])
    // The header names a missing key, while the row names a key that is loaded.
    const foreign = Buffer.from(good.sealedKey)
    foreign.fill(0xee, 1, 9)
    await put(foreign)
    expect(await sweep(await running())).toEqual({ over: true, rewrapped: 0, broken })
    await put(good.sealedKey)
    expect(await sweep(await running())).toEqual({ over: true, rewrapped: 1, broken: [] })
    const alone = new Vault(catalog.store, new Keyring(next), { max: 10 })
    expect((await alone.dataKey(first)).id).toBe(id)
  })

  it('waits for a replica that has the key if another one lacks it', async () => {
    await furnish(1)
    const rotation = await running()
    expect(await sweep(rotation, new Keyring(next))).toEqual({ over: false, rewrapped: 0, broken: [] })
    expect(await sweep(rotation)).toMatchObject({ over: true, rewrapped: 2 })
  })
})

describe('a rewrapped data key', () => {
  it('replaces only the version that it was made from', async () => {
    const [row] = await catalog.store.db.select().from(dataKeys).where(isNull(dataKeys.tenantId))
    if (row === undefined) throw new Error('no data key')
    const store = (rowVersion: number) =>
      catalog.store.transaction((tx) =>
        storeRewrapped(tx, next.id, [{ id: row.id, sealedKey: Buffer.from('lost'), rowVersion }]),
      )
    for (const stale of [row.rowVersion - 1, row.rowVersion + 1]) expect(await store(stale)).toBe(0)
    expect(await rows()).toEqual([row])
    expect(await store(row.rowVersion)).toBe(1)
    expect(await rows()).toMatchObject([{ masterKeyId: next.id, rowVersion: row.rowVersion + 1 }])
  })
})

describe('beginning a rotation', () => {
  const beat = (primaryKeyId: string | null, age = '0 seconds') =>
    catalog.store.db
      .insert(replicas)
      .values({ id: newId(), primaryKeyId, heartbeatAt: sql`now() - ${age}::interval` })

  it('is refused while a live process seals under another key, or does not tell its key', async () => {
    await beat(next.id)
    await beat(catalog.masterKey.id, '11 seconds')
    const { id } = await running()
    await beat(catalog.masterKey.id)
    expect(await start()).toEqual([catalog.masterKey.id])
    await catalog.store.db.update(replicas).set({ primaryKeyId: null })
    expect(await start()).toEqual([null])
    expect(await latestRotation(catalog.store)).toMatchObject({ id, status: 'running' })
  })

  it('again changes nothing while one is running', async () => {
    const six = Array.from({ length: 6 }, (_, n) => n)
    // The connections are open already, so that all requests begin at once.
    await Promise.all(six.map(() => catalog.store.db.execute(sql`select pg_sleep(0.1)`)))
    expect((await Promise.all(six.map(() => start()))).flat()).toEqual([])
    const { id } = await running()
    expect(await latestRotation(catalog.store)).toMatchObject({ id })
    expect(await actions()).toEqual(['encryption.rotate'])
  })

  it('for another key ends the previous one, and no gateway continues that', async () => {
    await furnish(1)
    const superseded = await running()
    expect(await sweep(superseded, new Keyring(next))).toMatchObject({ over: false })
    const back = await running(catalog.masterKey.id)
    expect(await claimed(next.id)).toEqual([])
    expect(await claimed(catalog.masterKey.id)).toEqual([back.id])
    expect(await sweep(superseded)).toEqual({ over: true, rewrapped: 0, broken: [] })
    expect(await sweep(back, catalog.keyring)).toMatchObject({ over: true, rewrapped: 0 })
    expect(await latestRotation(catalog.store)).toMatchObject({ id: back.id, status: 'done', total: 0 })
  })
})
