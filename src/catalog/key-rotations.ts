import { and, desc, eq, gt, isNull, ne, type SQL, sql } from 'drizzle-orm'
import { SealBrokenError, UnknownKeyError } from '../crypto/envelope.ts'
import type { Keyring } from '../crypto/keyring.ts'
import { newId } from '../lib/ids.ts'
import { type Actor, recordAudit, systemActor } from './audit/entries.ts'
import { recordChange } from './changes/follower.ts'
import { IS_LIVE } from './changes/live-replicas.ts'
import { replicas } from './changes/schema.ts'
import { dataKeys, encryptionRotations, type RotationStatus } from './encryption-schema.ts'
import { KEY_ROTATION } from './jobs/kinds.ts'
import { dropJobs, queueJob } from './jobs/queue.ts'
import { type CatalogStore, type CatalogTx, catalogErrors } from './store.ts'
import { bindingOf } from './vault.ts'

/** A rotation as operators see it: `total` data keys were wrapped by another master key at its start, `remaining` still are. */
export type KeyRotation = Omit<typeof encryptionRotations.$inferSelect, 'remaining'> & {
  readonly remaining: number
}

/** A rotation and its target, the master key that wraps all data keys in the end. */
export type RotationRef = Pick<KeyRotation, 'id' | 'keyId'>

/** A data key that does not open, although this process has the master key that it names. */
export interface BrokenKey {
  readonly rowId: string
  readonly tenantId: string | null
}

/** The result for some data keys. `last` is the id of the last row; null if there were no rows. */
export interface Batch {
  readonly rewrapped: number
  readonly broken: readonly BrokenKey[]
  readonly last: string | null
}

type WrappedKey = Pick<typeof dataKeys.$inferSelect, 'id' | 'tenantId' | 'sealedKey' | 'rowVersion'>

/** A data key to store. `rowVersion` is the version of the row that it replaces. */
export interface RewrappedKey {
  readonly id: string
  readonly sealedKey: Buffer
  readonly rowVersion: number
}

// A number that no other advisory lock of the catalog has: 'fher' in ASCII.
const ROTATIONS_LOCK = 0x66686572
const BATCH = 20
const RUNNING = eq(encryptionRotations.status, 'running')

/** The rotation that was started last. */
export async function latestRotation({ db }: CatalogStore): Promise<KeyRotation | null> {
  const [row] = await catalogErrors(rotationsIn(db).orderBy(desc(encryptionRotations.id)).limit(1))
  return row ?? null
}

function rotationsIn(db: CatalogStore['db']) {
  const { remaining, ...columns } = columnsOf(encryptionRotations)
  const left = sql<number>`coalesce(${remaining}, ${countOutside(encryptionRotations.keyId)})`
  return db.select({ ...columns, remaining: left }).from(encryptionRotations)
}

/** A rotation, or null. */
export async function findRotation({ db }: CatalogStore, id: string): Promise<KeyRotation | null> {
  const [row] = await catalogErrors(rotationsIn(db).where(eq(encryptionRotations.id, id)))
  return row ?? null
}

/** What a replica must know (`needs`) to claim a rotation: this master key must be its primary one. */
export function primaryKey(keyId: string): string {
  return `primary-key:${keyId}`
}

/**
 * Starts a rotation to `keyId`. A running rotation to the same key goes on; one to another key is superseded. Returns the primary
 * keys of live processes that have another one (null for an older release). If there are any, nothing is changed: the rotation
 * would miss the data keys that those processes create.
 */
export function startRotation(
  store: CatalogStore,
  { keyId, actor }: { keyId: string; actor: Actor },
): Promise<readonly (string | null)[]> {
  return store.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(${ROTATIONS_LOCK}::bigint)`)
    const others = await otherPrimaryKeys(tx, keyId)
    if (others.length > 0) return others
    const [running] = await tx.select().from(encryptionRotations).where(RUNNING).for('update')
    if (running?.keyId === keyId) return []
    if (running !== undefined) {
      await end(tx, running, 'superseded')
      await dropJobs(tx, [running.id], KEY_ROTATION)
    }
    const id = newId()
    const total = sql`${countOutside(sql`${keyId}`)}`
    const made = tx.insert(encryptionRotations).values({ id, keyId, total })
    const [row] = await made.returning({ total: encryptionRotations.total })
    await queueJob(tx, { kind: KEY_ROTATION, subject: id, payload: { keyId }, needs: [primaryKey(keyId)] })
    const after = { rotationId: id, keyId, total: row?.total }
    const before = running && { before: { rotationId: running.id, keyId: running.keyId } }
    await recordAudit(tx, { actor, action: 'encryption.rotate', tenantId: null, after, ...before })
    await recordChange(tx, { kind: 'encryption', tenantId: null, subjectId: id })
    return []
  })
}

/**
 * Wraps one batch of data keys under the new master key, in one short transaction: the service's own if `after` is null, else
 * those with the next row ids. Skips rows that another transaction has locked. Null if the rotation is over.
 */
export function rewrapBatch(
  store: CatalogStore,
  keyring: Keyring,
  { rotation, after }: { rotation: RotationRef; after: string | null },
): Promise<Batch | null> {
  return store.transaction(async (tx) => {
    if (!(await isRunning(tx, rotation.id))) return null
    const rows = await lockWrapped(tx, { keyring, keyId: rotation.keyId, after })
    const broken: BrokenKey[] = []
    const rewrappedKeys: RewrappedKey[] = []
    for (const row of rows) {
      const sealedKey = rewrap(keyring, row)
      if (sealedKey === null) broken.push({ rowId: row.id, tenantId: row.tenantId })
      else rewrappedKeys.push({ id: row.id, sealedKey, rowVersion: row.rowVersion })
    }
    const rewrapped = await storeRewrapped(tx, rotation.keyId, rewrappedKeys)
    return { rewrapped, broken, last: rows.at(-1)?.id ?? null }
  })
}

/**
 * Replaces data keys by their rewrapped forms. Each row must still have the version that was rewrapped. Returns how many were
 * replaced.
 */
export async function storeRewrapped(
  tx: CatalogTx,
  keyId: string,
  keys: readonly RewrappedKey[],
): Promise<number> {
  if (keys.length === 0) return 0
  const column = <T>(pick: (key: RewrappedKey) => T) => sql.param(keys.map(pick))
  const { rowCount } = await tx.execute(sql`
    update data_keys d
    set sealed_key = anew.sealed_key, master_key_id = ${keyId}, row_version = d.row_version + 1
    from unnest(
      ${column(({ id }) => id)}::uuid[],
      ${column(({ sealedKey }) => sealedKey)}::bytea[],
      ${column(({ rowVersion }) => rowVersion)}::int[]
    ) as anew (id, sealed_key, row_version)
    where d.id = anew.id and d.row_version = anew.row_version`)
  return rowCount ?? 0
}

/**
 * Ends a rotation if all data keys are rewrapped, except those that do not open (`broken` has their row ids). Returns the new
 * status: `running` if there is more to do, null if the rotation had ended before.
 */
export function endRotation(
  store: CatalogStore,
  { id, keyId }: RotationRef,
  broken: readonly string[],
): Promise<{ status: RotationStatus; remaining: number } | null> {
  return store.transaction(async (tx) => {
    const [rotation] = await tx
      .select()
      .from(encryptionRotations)
      .where(and(eq(encryptionRotations.id, id), RUNNING))
      .for('update')
    if (rotation === undefined) return null
    const open = sql<number>`(count(*) filter (where ${dataKeys.id} <> all(${sql.param([...broken])}::uuid[])))::int`
    const columns = { open, remaining: sql<number>`count(*)::int` }
    const [left] = await tx.select(columns).from(dataKeys).where(ne(dataKeys.masterKeyId, keyId))
    const { open: more, remaining } = left ?? { open: 0, remaining: 0 }
    if (more > 0) return { status: 'running', remaining }
    const status = remaining === 0 ? 'done' : 'failed'
    await end(tx, rotation, status)
    await recordEnd(tx, { id, keyId }, { status, remaining })
    return { status, remaining }
  })
}

async function recordEnd(
  tx: CatalogTx,
  { id, keyId }: RotationRef,
  { status, remaining }: { status: 'done' | 'failed'; remaining: number },
): Promise<void> {
  const about = {
    actor: systemActor('encryption'),
    tenantId: null,
    after: { rotationId: id, keyId, remaining },
  }
  if (status === 'done') await recordAudit(tx, { ...about, action: 'encryption.rotated' })
  else await recordAudit(tx, { ...about, action: 'encryption.rotation-failed' })
  await recordChange(tx, { kind: 'encryption', tenantId: null, subjectId: id })
}

async function end(tx: CatalogTx, { id, keyId }: RotationRef, status: RotationStatus): Promise<void> {
  const set = { status, finishedAt: sql`now()`, remaining: sql`${countOutside(sql`${keyId}`)}` }
  await tx.update(encryptionRotations).set(set).where(eq(encryptionRotations.id, id))
}

async function otherPrimaryKeys(tx: CatalogTx, keyId: string): Promise<(string | null)[]> {
  const other = sql`${replicas.primaryKeyId} is distinct from ${keyId}`
  const rows = await tx
    .selectDistinct({ keyId: replicas.primaryKeyId })
    .from(replicas)
    .where(and(IS_LIVE, other))
  return rows.map((row) => row.keyId)
}

/** Locks the rotation until the transaction ends, so that it is not superseded during a batch. */
async function isRunning(tx: CatalogTx, id: string): Promise<boolean> {
  const wanted = and(eq(encryptionRotations.id, id), RUNNING)
  const rows = await tx
    .select({ id: encryptionRotations.id })
    .from(encryptionRotations)
    .where(wanted)
    .for('share')
  return rows.length > 0
}

/** Locks only rows whose master key this process has. */
function lockWrapped(
  tx: CatalogTx,
  { keyring, keyId, after }: { keyring: Keyring; keyId: string; after: string | null },
): Promise<WrappedKey[]> {
  const { id, tenantId, sealedKey, rowVersion, masterKeyId } = dataKeys
  const others = keyring.keyIds.filter((each) => each !== keyId)
  return tx
    .select({ id, tenantId, sealedKey, rowVersion })
    .from(dataKeys)
    .where(
      and(sql`${masterKeyId} = any(${sql.param(others)})`, after === null ? isNull(tenantId) : gt(id, after)),
    )
    .orderBy(id)
    .limit(BATCH)
    .for('update', { skipLocked: true })
}

/** Null if it does not open: it was changed, moved, or its header names another key than its column. */
function rewrap(keyring: Keyring, { tenantId, sealedKey, ...row }: WrappedKey): Buffer | null {
  try {
    const key = keyring.unwrapDataKey(sealedKey, bindingOf(tenantId, row))
    return keyring.wrapDataKey(key, bindingOf(tenantId, { id: row.id, rowVersion: row.rowVersion + 1 }))
  } catch (error) {
    if (error instanceof SealBrokenError || error instanceof UnknownKeyError) return null
    throw error
  }
}

/** SQL that counts the data keys that another master key than `keyId` wraps. */
function countOutside(keyId: SQL | typeof encryptionRotations.keyId): SQL<number> {
  return sql<number>`(select count(*)::int from ${dataKeys} where ${dataKeys.masterKeyId} <> ${keyId})`
}

function columnsOf({
  id,
  keyId,
  status,
  total,
  remaining,
  startedAt,
  finishedAt,
}: typeof encryptionRotations) {
  return { id, keyId, status, total, remaining, startedAt, finishedAt }
}
