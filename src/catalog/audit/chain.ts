import { createHash } from 'node:crypto'
import { asc, desc, sql } from 'drizzle-orm'
import type { DataKey } from '../../crypto/keyring.ts'
import { type CatalogStore, catalogErrors } from '../store.ts'
import type { Vault } from '../vault.ts'
import { type AuditBreak, anchorBreak } from './anchor.ts'
import { isSame, sealMac } from './macs.ts'
import { firstForgedPerson } from './persons.ts'
import { auditLog, auditSeals } from './schema.ts'

export interface AuditVerdict {
  readonly ok: boolean
  readonly rows: number
  /** A seal proves the chain up to here. An attacker who has only the database cannot make one. */
  readonly sealedThrough: number
  readonly firstBreak: AuditBreak | null
}

interface ChainedRow extends Record<string, unknown> {
  readonly seq: string
  readonly hash: Buffer
  readonly content: string
}

const CHUNK = 2_000

// Written out, because an attacker could have changed the trigger's function together with the rows.
const CONTENT = sql`jsonb_build_array(seq, id, (extract(epoch from at) * 1000000)::bigint, actor_type, actor_id,
  tenant_id, acted_for_tenant_id, action, request_id, address, before, after,
  encode(commitment, 'hex'))::text`

/**
 * Seals the end of the audit log if it has grown: a MAC over number and hash, under the service's own key.
 * @returns the sealed row, or null if there was no new one
 */
export async function sealAudit(
  store: CatalogStore,
  key: DataKey,
): Promise<{ seq: number; hash: string } | null> {
  const { db } = store
  const [last] = await catalogErrors(
    db.select({ seq: auditLog.seq, hash: auditLog.hash }).from(auditLog).orderBy(desc(auditLog.seq)).limit(1),
  )
  if (last === undefined) return null
  const seal = { ...last, mac: sealMac(key, last) }
  const made = db.insert(auditSeals).values(seal).onConflictDoNothing().returning({ seq: auditSeals.seq })
  return (await catalogErrors(made)).length > 0 ? { seq: last.seq, hash: last.hash.toString('hex') } : null
}

/**
 * Reads the whole audit log and verifies that it is what was written: the chain, its seals, the anchor of a rewritten chain, and
 * the personal fields that still exist.
 * @throws PublicError CATALOG_UNAVAILABLE
 */
export async function verifyAudit(
  store: CatalogStore,
  vault: Pick<Vault, 'service' | 'dataKey'>,
): Promise<AuditVerdict> {
  const chain = await verifyChain(store, vault.service)
  if (chain.firstBreak !== null) return chain
  const broken = await anchorBreak(store, vault.service)
  if (broken !== null) return { ...chain, ok: false, firstBreak: broken }
  const forged = await firstForgedPerson(store, vault, chain.rows)
  return forged === null ? chain : { ...chain, ok: false, firstBreak: { seq: forged, reason: 'changed' } }
}

async function verifyChain(store: CatalogStore, key: DataKey): Promise<AuditVerdict> {
  const seals = await readSeals(store)
  let previous: Buffer = Buffer.alloc(0)
  let seq = 0
  let sealedThrough = 0
  const verdict = (firstBreak: AuditBreak | null): AuditVerdict => ({
    ...{ ok: firstBreak === null, rows: seq, sealedThrough, firstBreak },
  })
  for (;;) {
    const rows = await readChunk(store, seq)
    for (const row of rows) {
      if (Number(row.seq) !== seq + 1) return verdict({ seq: seq + 1, reason: 'missing' })
      const hash = createHash('sha256').update(previous).update(row.content).digest()
      if (!hash.equals(row.hash)) return verdict({ seq: seq + 1, reason: 'changed' })
      seq += 1
      previous = hash
      const seal = seals.get(seq)
      if (seal === undefined) continue
      if (!isSealed(key, { seq, hash }, seal)) return verdict({ seq, reason: 'resealed' })
      sealedThrough = seq
      seals.delete(seq)
    }
    if (rows.length < CHUNK) break
  }
  const beyond = [...seals.keys()].filter((sealed) => sealed > seq)
  return verdict(beyond.length > 0 ? { seq: seq + 1, reason: 'missing' } : null)
}

type Seal = Pick<typeof auditSeals.$inferSelect, 'hash' | 'mac'>

function isSealed(key: DataKey, row: { seq: number; hash: Buffer }, { hash, mac }: Seal): boolean {
  return hash.equals(row.hash) && isSame(mac, sealMac(key, row))
}

async function readSeals(store: CatalogStore): Promise<Map<number, Seal>> {
  const { seq, hash, mac } = auditSeals
  const rows = await catalogErrors(store.db.select({ seq, hash, mac }).from(auditSeals).orderBy(asc(seq)))
  return new Map(rows.map((row) => [row.seq, row]))
}

async function readChunk(store: CatalogStore, after: number): Promise<ChainedRow[]> {
  const query = store.db.execute<ChainedRow>(
    sql`select seq, hash, ${CONTENT} as content from audit_log where seq > ${after} order by seq limit ${CHUNK}`,
  )
  return (await catalogErrors(query)).rows
}
